"""Holds a stream back while its first tokens are judged, and ends in a verdict.

The upstream is read by one task of the probe's own: at the time bound the verdict may be to keep a stream whose next
read is still under way, and that read must outlive the verdict. The probe owns the task from birth to end: `judge`
starts it, `late` or `close` ends it.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from headrace.contracts.chat import Chunk
from headrace.contracts.errors import BackendProtocol
from headrace.router.cascade.draft import Draft
from headrace.router.cascade.evidence import Evidence
from headrace.router.cascade.tally import Tally
from headrace.router.cascade.verdict import Bench, Verdict

MAX_HELD_CHARS: Final = 1_000_000


class Probe:
    """One judged stream. Used by one task: `judge`; to keep the stream, `take_held` and `late`; always `close`."""

    def __init__(self, upstream: AsyncGenerator[Sequence[Chunk], None], bench: Bench, tally: Tally) -> None:
        self._upstream = upstream
        self._bench = bench
        self._tally = tally
        self._draft = Draft()
        self._evidence = Evidence(json=bench.call.wants_json)
        self._held: list[Chunk] = []
        self._loop = asyncio.get_running_loop()
        self._verdict: asyncio.Future[Verdict] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._reader: asyncio.Task[None] | None = None

    async def judge(self) -> Verdict:
        """Read until the verdict stands. Raises what the upstream raises before that."""
        self._reader = self._loop.create_task(self._read())
        await asyncio.wait((self._reader, self._verdict), return_when=asyncio.FIRST_COMPLETED)
        if not self._verdict.done():
            await self._reader  # it ended without a verdict, so it raises
        self._stop_timer()
        return self._verdict.result()

    def take_held(self) -> list[Chunk]:
        """Hand over what was held back so far."""
        held, self._held = self._held, []
        return held

    async def late(self) -> list[Chunk]:
        """Wait for the read that was under way when the verdict fell, and hand over what it brought."""
        if self._reader is not None:
            await self._reader
        return self.take_held()

    async def close(self) -> None:
        """Stop reading and close the upstream, which stops the engine. Harmless when repeated."""
        self._stop_timer()
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()
            await asyncio.wait((self._reader,))
        if self._reader is not None and not self._reader.cancelled():
            self._reader.exception()  # already told to whoever waited for it; here it only must not be lost noisily
        await self._upstream.aclose()

    async def _read(self) -> None:
        async for batch in self._upstream:
            self._tally.add(batch)
            self._held.extend(batch)
            if self._verdict.done():
                return  # the read that was under way at the time bound
            self._look(batch)
            if self._verdict.done():
                return
        if not self._verdict.done():
            raise BackendProtocol("the answer ended without a finish_reason")

    def _look(self, batch: Sequence[Chunk]) -> None:
        fresh = 0
        for chunk in batch:
            for choice in chunk.choices:
                self._draft.add(choice)
                fresh += self._evidence.add(choice)
        probe = self._bench.low.probe
        is_early = len(self._evidence.values) < probe.tokens
        if self._draft.finish_reason is not None and (is_early or self._draft.has_tool_calls):
            message, finish_reason = self._draft.message(), self._draft.finish_reason
            self._verdict.set_result(self._bench.whole(self._evidence.values, message, finish_reason))
        elif self._draft.has_tool_calls:
            self._stop_timer()  # arguments can only be checked once they are complete
        elif fresh and (verdict := self._bench.running(self._evidence.values)):
            self._verdict.set_result(verdict)
        elif self._timer is None and self._draft.has_answer:
            self._timer = self._loop.call_later(probe.s, self._at_time_bound)
        if not self._verdict.done() and self._tally.chars > MAX_HELD_CHARS:
            self._verdict.set_result(Verdict(keep=False, why=f"over {MAX_HELD_CHARS} characters held back"))

    def _at_time_bound(self) -> None:
        if not self._verdict.done():
            self._verdict.set_result(self._bench.at_time_bound(self._evidence.values))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
