import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest

from headrace.contracts.chat import ChatCall, Chunk, EstimatedUsage, Message
from headrace.contracts.errors import (
    BackendError,
    BackendProtocol,
    BackendStatus,
    BackendTimeout,
    BackendUnavailable,
    DeadlineExceeded,
    HeadraceError,
)
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.protocols import Backend, UpstreamCall
from headrace.models.backends.client import HttpBackend
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.watchdog import Timeouts
from headrace.models.backends.wire import Pool
from tests.support.replies import FAULTS, Problem, Say, endless, huge_body
from tests.support.upstream import Upstream, refused_url

CARD = ModelCard("m", 2048, frozenset({"stream", "logprobs"}), Price(Decimal(1), Decimal(2)))
QUICK = Timeouts(first_byte_s=0.3, between_s=0.3)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool() as made:
        yield made


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


def backend(pool: Pool, *urls: str, timeouts: Timeouts = QUICK, kind: Any = "openai") -> HttpBackend:
    endpoints = [EndpointSpec(url, "k-1", kind) for url in urls]
    return HttpBackend(id="b", card=CARD, endpoints=endpoints, pool=pool, upstream_model="up", timeouts=timeouts)


def call(*, probe: bool = False, deadline_s: float = 10.0, **chat: Any) -> UpstreamCall:
    fields = {"model": "m", "endpoint": "chat", "messages": (Message("user", "hi"),), "wire": {"messages": []}}
    deadline = asyncio.get_running_loop().time() + deadline_s
    return UpstreamCall(chat=ChatCall(**{**fields, **chat}), probe=probe, deadline=deadline, request_id="req_1")


async def collect(seam: Backend, upstream_call: UpstreamCall) -> list[Chunk]:
    async with aclosing(seam.stream(upstream_call)) as stream:
        return [chunk async for batch in stream for chunk in batch]


def text_of(chunks: list[Chunk]) -> str:
    return "".join(choice.delta.get("content") or "" for chunk in chunks for choice in chunk.choices)


async def test_a_stream_and_a_whole_answer_say_the_same(upstream: Upstream, pool: Pool) -> None:
    seam = backend(pool, upstream.url)
    chunks = await collect(seam, call(stream=True))
    whole = await seam.complete(call())
    assert text_of(chunks) == whole.choices[0].message["content"] == Say().text
    assert chunks[-1].usage == whole.usage
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert upstream.meter.connections == 1


async def test_requests_carry_our_id_key_and_model_and_nothing_else(upstream: Upstream, pool: Pool) -> None:
    seam = backend(pool, upstream.url)
    await seam.complete(call())
    await seam.complete(call())
    first, second = upstream.seen
    assert first.json["model"] == "up"
    assert first.headers["authorization"] == "Bearer k-1"
    assert first.headers["x-request-id"].startswith("req_1-")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert set(first.headers) == {
        "host", "authorization", "content-type", "content-length", "accept-encoding", "x-request-id",
    }  # fmt: skip


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
async def test_a_probe_brings_logprobs_one_entry_per_token(upstream: Upstream, pool: Pool, endpoint: str) -> None:
    upstream.always(Say(["a", ("b", -3.0), "c"], tokens_per_chunk=2))
    chunks = await collect(backend(pool, upstream.url), call(probe=True, endpoint=endpoint, stream=True))
    entries = [t for c in chunks for x in c.choices if x.logprobs for t in x.logprobs.content or []]
    assert [entry.logprob for entry in entries] == [-0.05, -3.0, -0.05]
    assert text_of(chunks) == "abc"


async def test_tools_reasoning_and_several_choices_come_through(upstream: Upstream, pool: Pool) -> None:
    upstream.always(Say((), tools=[("f", '{"a": 12345678}')], reasoning=["hm"], usage="continuous"))
    chunks = await collect(backend(pool, upstream.url, kind="vllm"), call(n=2, stream=True, wire={"n": 2}))
    for index in (0, 1):
        deltas = [x.delta for c in chunks for x in c.choices if x.index == index]
        calls = [d["tool_calls"][0]["function"]["arguments"] for d in deltas if "tool_calls" in d]
        assert "".join(calls) == '{"a": 12345678}'
        assert [d["reasoning"] for d in deltas if "reasoning" in d] == ["hm"]
    running = [c.usage.completion_tokens for c in chunks if c.usage]
    assert running == sorted(running)
    assert running[-1] == upstream.meter.completion_tokens


STREAM_FAULTS: dict[str, type[HeadraceError] | str] = {
    "accept_then_hang": BackendTimeout,
    "hang_after_first_chunk": BackendTimeout,
    "reset_before_head": BackendUnavailable,
    "reset_in_a_chunk": BackendError,
    "close_in_mid_stream": BackendProtocol,
    "truncated_json_in_an_event": BackendProtocol,
    "sse_without_blank_line": "Hel",
    "no_finish_reason": BackendProtocol,
    "no_done": "Hello",
    "odd_but_legal_sse": "Héllo",
    "error_in_mid_stream": BackendStatus,
    "200_with_an_error_body": BackendProtocol,
    "200_with_an_error_in_the_stream": BackendStatus,
    "html_502": BackendStatus,
    "html_200": BackendProtocol,
    "redirect": BackendProtocol,
    "gzip_sse": "Hello",
    "wrong_model": Say().text,
    "429_retry_after_huge": BackendStatus,
    "503_retry_after_3": BackendStatus,
    "negative_usage": Say().text,
    "absurd_usage": Say().text,
    "two_usage_chunks": Say().text,
    "no_usage": Say().text,
    "secrets_in_the_error": BackendStatus,
}
WHOLE_FAULTS: dict[str, type[HeadraceError] | str] = {
    "reset_before_head": BackendUnavailable,
    "truncated_json": BackendProtocol,
    "cut_json_with_true_length": BackendProtocol,
    "200_with_an_error_body": BackendStatus,
    "html_502": BackendStatus,
    "html_200": BackendProtocol,
    "redirect": BackendProtocol,
    "gzip_bomb": BackendProtocol,
    "429_retry_after_huge": BackendStatus,
    "503_retry_after_3": BackendStatus,
    "negative_usage": Say().text,
    "absurd_usage": Say().text,
    "no_usage": Say().text,
    "secrets_in_the_error": BackendStatus,
}


@pytest.mark.parametrize(("fault", "expected"), STREAM_FAULTS.items(), ids=STREAM_FAULTS)
async def test_every_streamed_fault_is_named_or_survived(
    upstream: Upstream, pool: Pool, fault: str, expected: type[HeadraceError] | str
) -> None:
    upstream.then(FAULTS[fault])
    seam = backend(pool, upstream.url)
    if isinstance(expected, str):
        chunks = await collect(seam, call(stream=True))
        assert text_of(chunks) == expected
        assert [c.usage is not None for c in chunks if not c.choices] == [True]
    else:
        with pytest.raises(expected):
            await collect(seam, call(stream=True))
    assert text_of(await collect(seam, call(stream=True))) == Say().text


@pytest.mark.parametrize(("fault", "expected"), WHOLE_FAULTS.items(), ids=WHOLE_FAULTS)
async def test_every_whole_fault_is_named_or_survived(
    upstream: Upstream, pool: Pool, fault: str, expected: type[HeadraceError] | str
) -> None:
    upstream.then(FAULTS[fault])
    seam = backend(pool, upstream.url)
    if isinstance(expected, str):
        assert (await seam.complete(call())).choices[0].message["content"] == expected
    else:
        with pytest.raises(expected):
            await seam.complete(call())
    assert (await seam.complete(call())).choices[0].message["content"] == Say().text


@pytest.mark.parametrize("usage", ["negative", "absurd", "none"])
async def test_usage_nobody_can_believe_is_counted_by_us_and_marked(upstream: Upstream, pool: Pool, usage: Any) -> None:
    upstream.always(Say(usage=usage))
    seam = backend(pool, upstream.url)
    streamed = (await collect(seam, call(probe=True, stream=True)))[-1].usage
    whole = (await seam.complete(call(probe=True))).usage
    assert isinstance(streamed, EstimatedUsage)
    assert isinstance(whole, EstimatedUsage)
    assert streamed.completion_tokens == whole.completion_tokens == 6


async def test_retry_after_is_kept_within_a_minute_and_messages_are_clean(upstream: Upstream, pool: Pool) -> None:
    upstream.then(FAULTS["429_retry_after_huge"], FAULTS["secrets_in_the_error"])
    seam = backend(pool, upstream.url)
    with pytest.raises(BackendStatus) as slow:
        await seam.complete(call())
    assert (slow.value.kind, slow.value.retry_after_s) == ("http_429", 60.0)
    with pytest.raises(BackendStatus) as leaky:
        await seam.complete(call())
    for leak in ("10.0.0.7", "sk-", "/srv", "http:"):
        assert leak not in leaky.value.message


async def test_endless_answers_are_cut_off_with_bounded_memory(upstream: Upstream, pool: Pool) -> None:
    upstream.then(endless(), huge_body())
    seam = backend(pool, upstream.url, timeouts=Timeouts())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BackendProtocol, match="over"):
        await collect(seam, call(stream=True))
    with pytest.raises(BackendProtocol, match="over"):
        await seam.complete(call())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000


async def test_a_refused_connection_and_a_passed_deadline_are_named(upstream: Upstream, pool: Pool) -> None:
    with pytest.raises(BackendUnavailable):
        await backend(pool, refused_url()).complete(call())
    upstream.always(FAULTS["accept_then_hang"])
    slow = backend(pool, upstream.url, timeouts=Timeouts())
    with pytest.raises(DeadlineExceeded):
        await slow.complete(call(deadline_s=0.1))
    upstream.always(FAULTS["hang_after_first_chunk"])
    with pytest.raises(DeadlineExceeded):
        await collect(slow, call(deadline_s=0.2, stream=True))


async def test_closing_the_stream_aborts_the_upstream_at_once(upstream: Upstream, pool: Pool) -> None:
    upstream.always(Say(["x"] * 1000, delay_s=0.01))
    stream = backend(pool, upstream.url).stream(call(stream=True))
    async with aclosing(stream):
        await anext(stream)
    await asyncio.wait_for(upstream.seen[0].ended.wait(), 3)
    assert upstream.seen[0].outcome == "aborted"


async def test_cancelling_a_whole_answer_aborts_the_upstream_at_once(upstream: Upstream, pool: Pool) -> None:
    upstream.always(Say(first_s=30))
    task = asyncio.create_task(backend(pool, upstream.url, timeouts=Timeouts()).complete(call(deadline_s=60)))
    await upstream.arrived.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asyncio.wait_for(upstream.seen[0].ended.wait(), 3)
    assert upstream.seen[0].outcome == "aborted"


async def test_cancelling_a_reader_aborts_the_upstream_at_once(upstream: Upstream, pool: Pool) -> None:
    upstream.always(Say(["x"] * 1000, delay_s=0.05))
    task = asyncio.create_task(collect(backend(pool, upstream.url), call(stream=True)))
    await upstream.arrived.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asyncio.wait_for(upstream.seen[0].ended.wait(), 3)
    assert upstream.seen[0].outcome == "aborted"


async def test_a_dead_endpoint_is_passed_over_and_a_live_one_answers(upstream: Upstream, pool: Pool) -> None:
    seam = backend(pool, refused_url(), upstream.url)
    for _ in range(5):
        assert (await seam.complete(call())).choices
    assert seam.is_live()


async def test_a_backend_that_keeps_failing_is_not_live_until_its_trial(upstream: Upstream, pool: Pool) -> None:
    seam = backend(pool, upstream.url)
    upstream.then(*[Problem(500)] * 3)
    for _ in range(3):
        with pytest.raises(BackendStatus):
            await seam.complete(call())
    assert not seam.is_live()
    with pytest.raises(BackendUnavailable, match="taking requests"):
        await seam.complete(call())
    assert upstream.meter.requests == 3


async def test_the_callers_own_mistakes_do_not_eject(upstream: Upstream, pool: Pool) -> None:
    upstream.always(Problem(400, "context too long"))
    seam = backend(pool, upstream.url)
    for _ in range(5):
        with pytest.raises(BackendStatus, match="context too long"):
            await seam.complete(call())
    assert seam.is_live()


async def test_a_kept_connection_that_was_dead_costs_no_failure(upstream: Upstream, pool: Pool) -> None:
    seam = backend(pool, upstream.url)
    upstream.then(Say(), FAULTS["reset_before_head"], Say(), FAULTS["reset_before_head"], FAULTS["reset_before_head"])
    await seam.complete(call())
    assert (await seam.complete(call())).choices[0].message["content"] == Say().text
    with pytest.raises(BackendUnavailable):
        await seam.complete(call())
    assert seam.is_live()
