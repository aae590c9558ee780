import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.contracts.errors import EngineError
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.session import make_session
from headrace.models.backends.warmup import wait_healthy, warm_up
from tests.support.replies import Problem, Say
from tests.support.upstream import Upstream

ALL = frozenset({"stream", "logprobs", "tools", "json_schema"})


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(Say(["yes"])) as server:
        yield server


async def warm(upstream: Upstream, capabilities: frozenset[str]) -> list[str]:
    said: list[str] = []
    endpoint = EndpointSpec(upstream.url, "k", "vllm")
    async with make_session() as session:
        await warm_up(session, endpoint, model="m", capabilities=capabilities, say=said.append)
    return said


async def test_every_kind_of_request_is_answered_before_ready(upstream: Upstream) -> None:
    said = await warm(upstream, ALL)
    assert said[0] == "weights and cache"
    assert len(said) == 5
    asked = [set(seen.json) for seen in upstream.seen]
    assert "logprobs" in asked[1]
    assert "response_format" in asked[2]
    assert "tools" in asked[3]
    assert {seen.headers["authorization"] for seen in upstream.seen} == {"Bearer k"}


async def test_what_the_model_cannot_do_is_not_asked(upstream: Upstream) -> None:
    await warm(upstream, frozenset({"stream"}))
    assert upstream.meter.requests == 1


async def test_a_refusal_is_told_with_its_reason(upstream: Upstream) -> None:
    upstream.then(Say(["yes"]), Problem(500, "no sampler"))
    with pytest.raises(
        EngineError, match=r"answered 500 to an answer with log-probabilities while warming up: no sampler"
    ):
        await warm(upstream, ALL)


async def test_health_is_awaited_through_refusals_and_503(upstream: Upstream) -> None:
    upstream.healthy = False
    async with make_session() as session:
        waiting = asyncio.create_task(wait_healthy(session, f"{upstream.origin}/health"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        upstream.healthy = True
        await asyncio.wait_for(waiting, 5)
