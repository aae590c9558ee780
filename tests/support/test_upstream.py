import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.replies import Problem, Say
from tests.support.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def test_a_whole_answer_has_content_and_usage(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    async with session.post(f"{upstream.url}/chat/completions", json={"model": "m", "messages": []}) as response:
        body = await response.json()
    assert body["choices"][0]["message"]["content"] == Say().text
    assert body["usage"]["completion_tokens"] == upstream.meter.completion_tokens == 6
    assert upstream.meter.finished == 1


async def test_a_stream_carries_logprobs_only_when_asked(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    asked = {"model": "m", "stream": True, "logprobs": True, "stream_options": {"include_usage": True}}
    async with session.post(f"{upstream.url}/chat/completions", json=asked) as response:
        text = await response.text()
    frames = [json.loads(part[6:]) for part in text.split("\n\n") if part.startswith("data: {")]
    assert (
        sum(len(f["choices"][0]["logprobs"]["content"]) for f in frames if f["choices"] and f["choices"][0]["logprobs"])
        == 6
    )
    assert frames[-1]["usage"]["total_tokens"] == 13
    assert text.endswith("data: [DONE]\n\n")


async def test_replies_come_in_order_and_connections_are_kept(
    upstream: Upstream, session: aiohttp.ClientSession
) -> None:
    upstream.then(Problem(503), Say(["x"]))
    statuses = []
    for _ in range(3):
        async with session.post(f"{upstream.url}/chat/completions", json={}) as response:
            statuses.append(response.status)
            await response.read()
    assert statuses == [503, 200, 200]
    assert upstream.meter.connections == 1


async def test_a_client_that_leaves_is_metered_as_aborted(upstream: Upstream, session: aiohttp.ClientSession) -> None:
    blocked = asyncio.Event()

    async def gate(number: int) -> None:
        if number == 2:
            await blocked.wait()

    upstream.always(Say(gate=gate))
    response = await session.post(f"{upstream.url}/chat/completions", json={"stream": True})
    await response.content.readany()
    response.close()
    await asyncio.wait_for(upstream.seen[0].ended.wait(), 5)
    assert upstream.seen[0].outcome == "aborted"
    assert upstream.meter.running == 0
    assert upstream.meter.completion_tokens <= 1
