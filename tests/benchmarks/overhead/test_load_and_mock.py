"""The load generator against the mock, both in this process over real sockets."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.overhead.grid import Seen, figures
from benchmarks.overhead.load import Load, LoadConnection, Shape, Tally, requests
from benchmarks.overhead.mock import MockProtocol, Pace, Replies, stream_events, whole_reply


@asynccontextmanager
async def running_mock(chunks: int = 50) -> AsyncIterator[int]:
    replies = Replies(chunks)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: MockProtocol(replies, Pace(0.0, 0.0, chunks)), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_every_prompt_is_unique() -> None:
    assert len(set(itertools.islice(requests("m", 1, streams=False), 1000))) == 1000


def test_the_plain_reply_is_about_one_kilobyte() -> None:
    assert 950 <= len(whole_reply(logprobs=False)) <= 1100
    assert len(json.loads(whole_reply(logprobs=True))["choices"][0]["logprobs"]["content"]) == 48


def test_a_stream_has_its_chunks_its_finish_and_its_end() -> None:
    text = b"".join(stream_events(50, logprobs=False, usage=True)).decode()
    *events, end = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    chunks = [json.loads(event) for event in events]

    assert end == "[DONE]"
    assert sum(c["choices"][0]["delta"].get("content") == " token" for c in chunks if c["choices"]) == 50
    assert chunks[-1]["choices"] == []
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("shape", [Shape(streams=False, in_flight=3), Shape(streams=True, in_flight=3)])
async def test_a_closed_loop_keeps_asking_without_a_failure(shape: Shape) -> None:
    async with running_mock() as port:
        tally = await Load(port, "mock", shape).run(0.1)

    assert tally.failures == []
    assert tally.requests >= 3
    assert all(0 < first <= whole for first, whole in zip(tally.ttfts, tally.latencies, strict=True))


async def test_an_open_loop_sends_what_was_scheduled() -> None:
    async with running_mock() as port:
        tally = await Load(port, "mock", Shape(streams=False, rate=200.0)).run(0.1)

    assert tally.failures == []
    assert tally.requests == 20


async def test_a_stream_that_lacks_chunks_is_a_failure() -> None:
    async with running_mock(chunks=7) as port:
        tally = await Load(port, "mock", Shape(streams=True, in_flight=1)).run(0.01)

    assert tally.requests == 0
    assert "stream of 7 chunks" in tally.failures[0]


async def test_a_connection_lost_in_mid_request_is_a_failure() -> None:
    tally = Tally()
    connection = LoadConnection(Shape(streams=False, in_flight=1), tally, lambda _: None)
    connection.ask(b"", 0.0)

    connection.connection_lost(None)

    assert len(tally.failures) == 1


async def test_an_unknown_route_is_404_and_counts_as_failure() -> None:
    async with running_mock() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.close()
        await writer.wait_closed()


def test_added_figures_are_differences_to_the_floor() -> None:
    shape = Shape(streams=False, in_flight=1)
    floor = Seen(Tally(1.0, [0.001] * 10, [0.001] * 10), 0.0)
    mine = Seen(Tally(1.0, [0.003] * 10, [0.003] * 10), 0.005)

    found = figures(shape, mine, floor, has_process=True)

    assert found["added_p50_ms"] == pytest.approx(2.0)
    assert found["cpu_us_per_request"] == pytest.approx(500.0)
    assert found["requests_per_s"] == 10.0


def test_cpu_of_streams_is_told_per_chunk() -> None:
    shape = Shape(streams=True, in_flight=1, chunks=50)
    seen = Seen(Tally(1.0, [0.3] * 10, [0.01] * 10), 0.05)

    assert figures(shape, seen, seen, has_process=True)["cpu_us_per_chunk"] == pytest.approx(100.0)
