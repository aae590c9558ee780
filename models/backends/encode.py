"""The request body an endpoint gets: the client's fields as they came, and ours. Pure."""

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import msgspec

from headrace.contracts.protocols import UpstreamCall

EndpointKind = Literal["vllm", "openai"]


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One OpenAI-compatible base URL (ending in /v1); kind "vllm" marks an engine of ours, which gets vLLM's fields."""

    url: str
    api_key: str = ""
    kind: EndpointKind = "openai"


_encode = msgspec.json.Encoder().encode


def encode_body(call: UpstreamCall, *, model: str, kind: EndpointKind, streamed: bool) -> bytes:
    """Return the JSON body for one attempt."""
    chat = call.chat
    body: dict[str, Any] = dict(chat.wire)
    body["model"] = model
    if streamed:
        body["stream"] = True
        body["stream_options"] = _ENGINE_OPTIONS if kind == "vllm" else _OPTIONS
    if chat.logprobs or call.probe:
        if chat.endpoint == "completions":
            body["logprobs"] = chat.top_logprobs or 0
        else:
            body["logprobs"] = True
            if chat.top_logprobs:
                body["top_logprobs"] = chat.top_logprobs
    if kind == "vllm" and call.cache_salt:
        body["cache_salt"] = engine_salt(call.cache_salt)
    return _encode(body)


@lru_cache(maxsize=1024)
def engine_salt(secret: str) -> str:
    """Return a short URL-safe word derived from the tenant's salt: an engine dies on odd bytes in this field."""
    digest = hashlib.blake2s(secret.encode("utf-8", "surrogatepass"), person=b"engsalt").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


_OPTIONS = {"include_usage": True}
_ENGINE_OPTIONS = {"include_usage": True, "continuous_usage_stats": True}
