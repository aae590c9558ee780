from contextlib import aclosing
from decimal import Decimal

import pytest

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import BackendTimeout
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.protocols import Backend, UpstreamCall
from headrace.models.backends.fake import FakeBackend, Script

CARD = ModelCard("m", 2048, frozenset({"stream", "logprobs"}), Price(Decimal(1), Decimal(2)))
CHAT = ChatCall(model="m", endpoint="chat", messages=(), wire={})
CALL = UpstreamCall(chat=CHAT, probe=True, deadline=9e9, request_id="r")


async def no_sleep(_: float) -> None:
    return None


def fake(script: Script) -> FakeBackend:
    return FakeBackend(CARD, script, sleep=no_sleep)


async def test_a_stream_hands_out_what_the_meter_counts() -> None:
    backend = fake(Script(tokens=["a", ("b", -2.0), "c"], tokens_per_chunk=2))
    seam: Backend = backend
    chunks = [chunk async for batch in seam.stream(CALL) for chunk in batch]
    logprobs = [t.logprob for c in chunks for x in c.choices if x.logprobs for t in x.logprobs.content or []]
    assert logprobs == [-0.05, -2.0, -0.05]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == backend.meter.completion_tokens == 3
    assert (backend.meter.running, backend.meter.finished, backend.meter.aborted) == (0, 1, 0)


async def test_a_closed_stream_is_metered_as_aborted_with_the_tokens_handed_out() -> None:
    backend = fake(Script(tokens=["a", "b", "c"]))
    async with aclosing(backend.stream(CALL)) as stream:
        await anext(stream)
    assert (backend.meter.aborted, backend.meter.finished, backend.meter.completion_tokens) == (1, 0, 1)


async def test_scripted_errors_come_after_the_scripted_chunks() -> None:
    backend = fake(Script(error=BackendTimeout("late"), error_after=2))
    stream = backend.stream(CALL)
    for _ in range(2):
        assert await anext(stream)
    with pytest.raises(BackendTimeout):
        await anext(stream)
    assert backend.meter.failed == 1


async def test_a_whole_answer_has_tools_logprobs_and_usage_in_order_of_the_queue() -> None:
    backend = fake(Script())
    backend.then(Script(tokens=(), tools=[("f", "{}")]))
    first, second = await backend.complete(CALL), await backend.complete(CALL)
    assert first.choices[0].message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert first.choices[0].finish_reason == "tool_calls"
    assert second.choices[0].message["content"] == "Hello there."
    assert len(backend.calls) == backend.meter.requests == 2
