import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from headrace.contracts.errors import Overloaded
from headrace.retrieval.embed.batching import Batcher, BatchLimits


class Slow:
    """Embeds a sequence as its own text, once it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[Sequence[int]]] = []
        self.go = threading.Event()
        self.started = threading.Event()

    def __call__(self, sequences: Sequence[Sequence[int]]) -> list[bytes]:
        self.batches.append(list(sequences))
        self.started.set()
        assert self.go.wait(10)
        return [str(list(ids)).encode() for ids in sequences]


@asynccontextmanager
async def serving(batcher: Batcher) -> AsyncIterator[None]:
    task = asyncio.create_task(batcher.serve())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_every_caller_gets_its_own_vectors_in_order() -> None:
    run = Slow()
    run.go.set()
    batcher = Batcher(run, BatchLimits(largest=3))
    async with serving(batcher):
        answers = await asyncio.gather(*(batcher.submit([[i], [i, i], [i]]) for i in range(5)))
    assert answers == [[f"[{i}]".encode(), f"[{i}, {i}]".encode(), f"[{i}]".encode()] for i in range(5)]
    assert all(len(batch) <= 3 for batch in run.batches)


async def test_what_waits_while_a_batch_runs_becomes_one_batch_of_like_lengths() -> None:
    run = Slow()
    batcher = Batcher(run, BatchLimits(largest=3))
    async with serving(batcher):
        first = asyncio.create_task(batcher.submit([[0]]))
        await asyncio.to_thread(run.started.wait, 10)
        rest = asyncio.create_task(batcher.submit([[1], [2] * 9, [3], [4] * 9, [5]]))
        await asyncio.sleep(0)
        run.go.set()
        await asyncio.gather(first, rest)
    assert run.batches[1] == [[1], [3], [5]]
    assert run.batches[2] == [[2] * 9, [4] * 9]


async def test_too_much_waiting_turns_callers_away() -> None:
    batcher = Batcher(Slow(), BatchLimits(most_waiting=2))
    with pytest.raises(Overloaded, match="0 texts are waiting"):
        await batcher.submit([[1], [2], [3]])


async def test_a_caller_that_leaves_is_not_computed() -> None:
    run = Slow()
    batcher = Batcher(run)
    gone = asyncio.create_task(batcher.submit([[7]]))
    await asyncio.sleep(0)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    run.go.set()
    async with serving(batcher):
        await batcher.submit([[8]])
    assert run.batches == [[[8]]]


async def test_a_failing_model_ends_serving_and_frees_the_callers() -> None:
    def broken(_: Sequence[Sequence[int]]) -> list[bytes]:
        raise RuntimeError("out of memory")

    batcher = Batcher(broken)
    serving_task = asyncio.create_task(batcher.serve())
    caller = asyncio.create_task(batcher.submit([[1]]))
    with pytest.raises(RuntimeError, match="out of memory"):
        await serving_task
    with pytest.raises(asyncio.CancelledError):
        await caller
