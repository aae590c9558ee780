"""Time to the first token the client sees: through the gateway, for committed streams, against the model directly."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from headrace.contracts.chat import Chunk

_DATA = b"data: {"


@dataclass(frozen=True, slots=True)
class Paired:
    """One question asked both ways, one after the other. model: who answered through the gateway."""

    direct_s: float
    gateway_s: float
    model: str
    attempts: int


async def measure(
    session: aiohttp.ClientSession,
    questions: Sequence[str],
    *,
    gateway: str,
    direct: str,
    direct_model: str,
    virtual_model: str,
    direct_key: str = "",
) -> list[Paired]:
    """Ask every question both ways, one request in flight, the order of the two turning with each question."""
    pairs = []
    headers_of = {direct: {"Authorization": f"Bearer {direct_key}"} if direct_key else {}}
    for number, question in enumerate(questions):
        first: dict[str, tuple[float, aiohttp.typedefs.LooseHeaders]] = {}
        ways = [("direct", direct, direct_model), ("gateway", gateway, virtual_model)]
        for way, url, model in ways if number % 2 else reversed(ways):
            first[way] = await _first_token(session, url, model, f"{question} ", headers_of.get(url, {}))
        headers: Any = first["gateway"][1]
        model = headers.get("x-headrace-model", "")
        attempts = int(headers.get("x-headrace-attempts", "1"))
        pairs.append(Paired(first["direct"][0], first["gateway"][0], model, attempts))
    return pairs


async def _first_token(
    session: aiohttp.ClientSession, url: str, model: str, question: str, headers: Mapping[str, str]
) -> tuple[float, Any]:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 64,
        "stream": True,
    }
    started = time.perf_counter()
    async with session.post(f"{url.rstrip('/')}/chat/completions", json=body, headers=headers) as response:
        response.raise_for_status()
        seconds = None
        async for chunk in _chunks(response):
            if seconds is None and any(choice.delta.get("content") for choice in chunk.choices):
                seconds = time.perf_counter() - started
        return (seconds if seconds is not None else time.perf_counter() - started), response.headers


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[Chunk]:
    decoder = msgspec.json.Decoder(Chunk)
    async for line in response.content:
        if line.startswith(_DATA):
            yield decoder.decode(line[len(_DATA) - 1 :])
