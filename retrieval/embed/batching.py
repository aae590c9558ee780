"""Dynamic batching: whatever waits while one batch runs becomes the next batch. Knows nothing of models or HTTP."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from headrace.contracts.errors import Overloaded

Run = Callable[[Sequence[Sequence[int]]], list[bytes]]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """largest: sequences in one run. most_waiting: sequences queued before callers are turned away."""

    largest: int = 32
    most_waiting: int = 8192


class Batcher:
    """Runs `run` in one thread on batches of what concurrent callers ask. Shared by the tasks of one loop.

    Sequences of like length share a batch, so that little is padding.
    """

    def __init__(self, run: Run, limits: BatchLimits | None = None) -> None:
        self._run = run
        self._limits = limits or BatchLimits()
        self._waiting: deque[tuple[Sequence[int], asyncio.Future[bytes]]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")

    async def submit(self, sequences: Sequence[Sequence[int]]) -> list[bytes]:
        """Return the vectors in order; Overloaded when too much waits already."""
        if len(self._waiting) + len(sequences) > self._limits.most_waiting:
            raise Overloaded(f"{len(self._waiting)} texts are waiting to be embedded", retry_after_s=1.0)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in sequences]
        self._waiting.extend(zip(sequences, futures, strict=True))
        self._arrived.set()
        try:
            return list(await asyncio.gather(*futures))
        finally:
            for future in futures:
                future.cancel()

    async def serve(self) -> None:
        """Run batches until cancelled, or until `run` raises; then whoever waits is cancelled."""
        loop = asyncio.get_running_loop()
        batch: list[tuple[Sequence[int], asyncio.Future[bytes]]] = []
        try:
            while True:
                await self._arrived.wait()
                batch = self._take()
                if not batch:
                    self._arrived.clear()
                    continue
                vectors = await loop.run_in_executor(self._thread, self._run, [ids for ids, _ in batch])
                for (_, future), vector in zip(batch, vectors, strict=True):
                    if not future.done():
                        future.set_result(vector)
        finally:
            for _, future in (*batch, *self._waiting):
                future.cancel()
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[tuple[Sequence[int], asyncio.Future[bytes]]]:
        """Return the oldest waiting sequence with those nearest to it in length; callers that left are dropped."""
        waiting = [entry for entry in self._waiting if not entry[1].done()]
        if not waiting:
            self._waiting.clear()
            return []
        length = len(waiting[0][0])
        chosen = sorted(waiting, key=lambda entry: (abs(len(entry[0]) - length), entry is not waiting[0]))
        batch = chosen[: self._limits.largest]
        taken = {id(future) for _, future in batch}
        self._waiting = deque(entry for entry in waiting if id(entry[1]) not in taken)
        return batch
