"""The keys file: issued keys as keyed digests, with tenant, scopes and expiry. Plain keys never stand in a file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.gateway.settings.document import Document
from headrace.gateway.settings.explain import explain, place_of
from headrace.gateway.settings.problems import Keys as Path
from headrace.gateway.settings.problems import Report, printable
from headrace.gateway.settings.tree import KeyEntry

Scope = Literal[
    "*", "chat", "embeddings", "models", "files", "vector_stores", "explain", "decisions", "feedback", "admin"
]
HASH_PREFIX: Final = "hmac-sha256:"
PLAIN_KEYS: Final = "HEADRACE_API_KEYS"
MIN_KEY_CHARS: Final = 16


class _Edge(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KeyEdge(_Edge):
    """One issued key."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    hash: str = Field(pattern=r"^hmac-sha256:[0-9a-f]{64}$")
    tenant: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    scopes: list[Scope] = Field(min_length=1, max_length=32)
    expires: str | None = None


class KeysEdge(_Edge):
    """A whole keys file."""

    version: Literal[1]
    keys: list[KeyEdge] = Field(min_length=1, max_length=100_000)


def build_keys(document: Document, report: Report) -> tuple[KeyEntry, ...]:
    """Return the issued keys of a parsed keys file; `report` is told every problem."""
    try:
        edge = KeysEdge.model_validate(document.value)
    except ValidationError as exc:
        schema = KeysEdge.model_json_schema()
        for error in exc.errors(include_url=False):
            path, is_key = place_of(error)
            what, cure = explain(error, schema, is_secret=_is_hash(error))
            report(path, what, cure, at_key=is_key)
        return ()
    seen: set[str] = set()
    entries: list[KeyEntry] = []
    for index, key in enumerate(edge.keys):
        for word in (key.id, key.hash):
            if word in seen:
                report(("keys", index), "this id or hash stands twice", "give every key its own")
            seen.add(word)
        expires = _expiry(key.expires, ("keys", index, "expires"), report)
        digest = bytes.fromhex(key.hash.removeprefix(HASH_PREFIX))
        entries.append(KeyEntry(key.id, digest, key.tenant, frozenset(key.scopes), expires))
    return tuple(entries)


def plain_keys(environ: Mapping[str, str]) -> tuple[tuple[str, ...], str | None]:
    """Return the keys of HEADRACE_API_KEYS (comma separated) and what is wrong with them, if anything."""
    keys = tuple(key.strip() for key in environ.get(PLAIN_KEYS, "").split(",") if key.strip())
    if any(len(key) < MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key for key in keys):
        return (), f"{PLAIN_KEYS} holds a key under {MIN_KEY_CHARS} characters or with odd ones"
    return keys, None


def _is_hash(error: Mapping[str, Any]) -> bool:
    return "hash" in error["loc"]


def _expiry(text: str | None, path: Path, report: Report) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        report(path, f"{printable(text)!r} is not a date", "write 2027-01-31 or 2027-01-31T12:00:00Z")
        return datetime.fromtimestamp(0, UTC)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
