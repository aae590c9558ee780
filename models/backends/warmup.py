"""When an engine counts as ready: it is healthy and has answered every kind of request it will get."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from headrace.contracts.errors import EngineError
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.failures import reason_in

_POLL_S = 0.25
_HEALTH_S = 5.0
_ANSWER_S = 300.0
_OK = 200

_MESSAGES = [{"role": "user", "content": "Say yes."}]
_SCHEMA = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
_TOOL = {"type": "function", "function": {"name": "answer", "parameters": _SCHEMA}}
_KINDS: Mapping[str, tuple[str | None, Mapping[str, Any]]] = {
    "a plain answer": (None, {"max_tokens": 4}),
    "an answer with log-probabilities": ("logprobs", {"max_tokens": 4, "logprobs": True, "top_logprobs": 1}),
    "an answer in a schema": (
        "json_schema",
        {
            "max_tokens": 24,
            "response_format": {"type": "json_schema", "json_schema": {"name": "yes", "schema": _SCHEMA}},
        },
    ),
    "a tool call": (
        "tools",
        {"max_tokens": 32, "tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "answer"}}},
    ),
}


async def warm_up(
    session: aiohttp.ClientSession,
    endpoint: EndpointSpec,
    *,
    model: str,
    capabilities: frozenset[str],
    say: Callable[[str], None],
) -> None:
    """Return once the engine is healthy and has given one answer of each kind it can; EngineError if it refuses one."""
    say("weights and cache")
    await wait_healthy(session, endpoint.url.removesuffix("/v1") + "/health")
    for what, (capability, fields) in _KINDS.items():
        if capability is None or capability in capabilities:
            say(what)
            await _ask(session, endpoint, what, {"model": model, "messages": _MESSAGES, "temperature": 0, **fields})


async def wait_healthy(session: aiohttp.ClientSession, url: str) -> None:
    """Poll until the URL answers 200; the caller bounds the time."""
    timeout = aiohttp.ClientTimeout(total=_HEALTH_S)
    while True:
        try:
            async with session.get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status == _OK:
                    return
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        await asyncio.sleep(_POLL_S)


async def _ask(session: aiohttp.ClientSession, endpoint: EndpointSpec, what: str, body: Mapping[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {endpoint.api_key}", "Content-Type": "application/json"}
    url = f"{endpoint.url}/chat/completions"
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    try:
        async with session.post(url, data=msgspec.json.encode(body), headers=headers, timeout=timeout) as response:
            answer = await response.content.read(2**20)
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise EngineError(f"the engine broke off while warming up with {what}") from exc
    if response.status != _OK:
        raise EngineError(f"the engine answered {response.status} to {what} while warming up: {reason_in(answer)}")
