"""What every part of the config file's shape is made of: names, URLs, money, seconds, and strict mappings."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_URL: Final = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", re.IGNORECASE)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        msg = "use letters, digits and . _ : / @ + - only, 128 at most"
        raise ValueError(msg)
    return text


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        msg = "write http:// or https://, a host and a path such as /v1; no user, query or fragment"
        raise ValueError(msg)
    return text.rstrip("/")


def _url_or_memory(text: str) -> str:
    return text if text == ":memory:" else _url(text)


def _exact(value: object) -> object:
    """A price as the file wrote it: the shortest decimal of the number, not its binary neighbour."""
    return Decimal(repr(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


Name = Annotated[str, AfterValidator(_name)]
Url = Annotated[str, AfterValidator(_url)]
UrlOrMemory = Annotated[str, AfterValidator(_url_or_memory)]
Usd = Annotated[
    Decimal, BeforeValidator(_exact), Field(ge=0, le=1_000_000), WithJsonSchema({"type": "number", "minimum": 0})
]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def microusd(usd: Decimal) -> int:
    """Return whole micro-USD, rounded half up."""
    return int((usd * 1_000_000).to_integral_value(ROUND_HALF_UP))


class Edge(BaseModel):
    """A mapping of the config file: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
