"""A committed answer: whole, or a stream that flows from here on. Nothing in it is ever retracted."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from headrace.contracts.chat import Chunk, Completion
from headrace.contracts.errors import BackendError, DeadlineExceeded
from headrace.contracts.routing import CommitReason, Target
from headrace.router.cascade.record import OpenAttempt
from headrace.router.cascade.strip import Strip


class Stream:
    """The flowing half of an answer. Owns the attempt's record, its place on the tier and the upstream.

    held: what came before the commit. late: waits for the read that was under way at the commit. Both are counted.
    """

    __slots__ = ("_flow", "_held", "_late", "_record", "_resources", "_strip", "_upstream")

    def __init__(
        self,
        held: Sequence[Chunk],
        upstream: AsyncIterator[Sequence[Chunk]],
        *,
        late: Callable[[], Awaitable[Sequence[Chunk]]] | None,
        record: OpenAttempt,
        strip: Strip,
        resources: AsyncExitStack,
    ) -> None:
        self._held = held
        self._upstream = upstream
        self._late = late
        self._record = record
        self._strip = strip
        self._resources = resources
        self._flow: AsyncGenerator[Sequence[Chunk], None] | None = None

    def chunks(self) -> AsyncGenerator[Sequence[Chunk], None]:
        """Return the one iterator over the stream."""
        if self._flow is None:
            self._flow = self._chunks()
        return self._flow

    async def aclose(self) -> None:
        """Stop the upstream and give the place back. Before the end of the stream this means that the client left."""
        if self._flow is not None:
            await self._flow.aclose()
        await self._end()

    async def _chunks(self) -> AsyncGenerator[Sequence[Chunk], None]:
        count, apply = self._record.tally.add, self._strip.apply
        try:
            held, self._held = self._held, ()
            if shaped := apply(held):
                yield shaped
            if self._late is not None and (shaped := apply(await self._late())):
                yield shaped
            async for batch in self._upstream:
                count(batch)
                if shaped := apply(batch):
                    yield shaped
            self._record.close("committed")
            if tail := self._strip.tail(self._record.tally):
                yield tail
        except (BackendError, DeadlineExceeded) as error:
            self._record.close("broken", why=str(error))
            raise
        finally:
            await self._end()

    async def _end(self) -> None:
        self._record.close("cancelled", why="the client left")
        await self._resources.aclose()


class Flow(Protocol):
    """The chunks of a streamed answer, and the end of them."""

    def chunks(self) -> AsyncIterator[Sequence[Chunk]]:
        """Return the one iterator."""
        ...

    async def aclose(self) -> None:
        """Let go of everything."""
        ...


class Answer:
    """One answer the client gets. Used by one task.

    completion: the whole answer, None for a stream. confidence: calibrated P(right), where the answer was judged.
    """

    __slots__ = ("_stream", "commit_reason", "completion", "confidence", "target")

    def __init__(
        self,
        target: Target,
        commit_reason: CommitReason,
        confidence: float | None = None,
        *,
        completion: Completion | None = None,
        stream: Flow | None = None,
    ) -> None:
        self.target = target
        self.commit_reason: CommitReason = commit_reason
        self.confidence = confidence
        self.completion = completion
        self._stream = stream

    def chunks(self) -> AsyncIterator[Sequence[Chunk]]:
        """Return the stream: what was held back first, then live. Raises BackendError or DeadlineExceeded mid-way."""
        if self._stream is None:
            raise TypeError("a whole answer has no chunks; read `completion`")
        return self._stream.chunks()

    async def aclose(self) -> None:
        """Let go of everything. Harmless after the end; before it, the engine stops and the attempt is `cancelled`."""
        if self._stream is not None:
            await self._stream.aclose()
