import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.contracts.errors import BackendProtocol, BackendTimeout
from headrace.models.backends.answer import Answer
from headrace.models.backends.watchdog import Timeouts
from headrace.models.backends.wire import Pool, Target
from tests.support.replies import FAULTS, Problem
from tests.support.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


async def opened(pool: Pool, upstream: Upstream, *, first_byte_s: float = 5.0) -> Answer:
    target = Target(f"{upstream.url}/chat/completions", {})
    now = asyncio.get_running_loop().time()
    timeouts = Timeouts(first_byte_s=first_byte_s, between_s=0.1)
    connection = pool.idle(target) or await pool.connect(target, within_s=5)
    answer = Answer(connection, backend="b", timeouts=timeouts, first_byte_s=first_byte_s, since=now, deadline=now + 9)
    await answer.start(target.request(b'{"stream": true}', "req_1"))
    return answer


async def test_a_body_over_the_bound_is_refused(upstream: Upstream) -> None:
    upstream.always(Problem(200, body=b"x" * 1000))
    async with Pool() as pool:
        answer = await opened(pool, upstream)
        with pytest.raises(BackendProtocol, match="over 999 bytes"):
            await answer.body(999)
        answer.close()


async def test_the_bound_between_reads_is_named(upstream: Upstream) -> None:
    upstream.always(FAULTS["hang_after_first_chunk"])
    async with Pool() as pool:
        answer = await opened(pool, upstream)
        assert await answer.read()
        with pytest.raises(BackendTimeout, match=r"no next token in 0\.1 s"):
            await answer.read()
        answer.close()


async def test_a_body_is_read_to_its_end_and_its_connection_used_again(upstream: Upstream) -> None:
    upstream.always(Problem(200, body=b"x" * 1000))
    async with Pool() as pool:
        for _ in range(2):
            answer = await opened(pool, upstream)
            assert len(await answer.body(1000)) == 1000
            answer.close()
    assert upstream.meter.connections == 1
