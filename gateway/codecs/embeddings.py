"""`POST /v1/embeddings`: the request to an EmbeddingCall, and vectors back as numbers or base64."""

from array import array
from base64 import b64encode
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from headrace.contracts.chat import EmbeddingCall, JsonObject
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.protocols import Embeddings
from headrace.gateway import strict
from headrace.gateway.codecs.fields import Word

MAX_INPUTS: Final = 2_048
MAX_TOKENS_EACH: Final = 8_192

TokenId = Annotated[int, Meta(ge=0, le=10_000_000)]
Item = str | int | list[TokenId]
Encoding = Literal["float", "base64"]


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Every field of OpenAI's embeddings request."""

    model: Word
    input: str | Annotated[list[Item], Meta(min_length=1, max_length=131_072)]
    dimensions: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    encoding_format: Encoding | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingOrder:
    """A call and how its vectors are to be written."""

    call: EmbeddingCall
    encoding: Encoding


_REQUEST: Final = msgspec.json.Decoder(EmbeddingRequest)
_ENCODE: Final = msgspec.json.Encoder().encode


def read_order(body: bytes, *, max_depth: int) -> EmbeddingOrder:
    """Return the validated call; InvalidRequest names the field."""
    request = strict.decode(body, _REQUEST, max_depth=max_depth)
    inputs: Any = _inputs(request.input)
    call = EmbeddingCall(model=request.model, inputs=inputs, dimensions=request.dimensions)
    return EmbeddingOrder(call=call, encoding=request.encoding_format or "float")


def render(embeddings: Embeddings, *, model: str, encoding: Encoding) -> bytes:
    """Return OpenAI's list of vectors, in the order of the inputs."""
    data: list[JsonObject] = [
        {"object": "embedding", "index": index, "embedding": _vector(vector, encoding)}
        for index, vector in enumerate(embeddings.vectors)
    ]
    usage = {"prompt_tokens": embeddings.usage.prompt_tokens, "total_tokens": embeddings.usage.prompt_tokens}
    return _ENCODE({"object": "list", "data": data, "model": model, "usage": usage})


def _vector(vector: bytes, encoding: Encoding) -> str | list[float]:
    if encoding == "base64":
        return b64encode(vector).decode("ascii")
    return array("f", vector).tolist()


def _inputs(value: Any) -> list[str] | list[list[int]]:  # noqa: ANN401  (str or a list, as decoded)
    if isinstance(value, str):
        return [_text(value, "input")]
    if isinstance(value[0], int):
        return [_tokens(value, "input")]
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(f"'input' holds more than {MAX_INPUTS} items", param="input", code="invalid_value")
    if isinstance(value[0], str):
        return [_text(item, f"input[{index}]") for index, item in enumerate(value)]
    return [_tokens(item, f"input[{index}]") for index, item in enumerate(value)]


def _text(item: object, at: str) -> str:
    if not isinstance(item, str):
        raise _mixed(at)
    if not item:
        raise InvalidRequest(f"'{at}' is an empty text", param=at, code="invalid_value")
    return item


def _tokens(item: object, at: str) -> list[int]:
    if not isinstance(item, list) or not all(isinstance(token, int) and token >= 0 for token in item):
        raise _mixed(at)
    if not 0 < len(item) <= MAX_TOKENS_EACH:
        raise InvalidRequest(f"'{at}' must hold 1 to {MAX_TOKENS_EACH} token ids", param=at, code="invalid_value")
    return item


def _mixed(at: str) -> InvalidRequest:
    return InvalidRequest(f"'{at}': all inputs must be texts, or all lists of token ids", param=at, code="invalid_type")
