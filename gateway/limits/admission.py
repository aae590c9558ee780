"""Places on a tier: so many run at once, so many wait in line, nobody waits past the deadline."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from headrace.contracts.errors import DeadlineExceeded, Overloaded
from headrace.contracts.policy import Tier

FIRST_GUESS_S: Final = 1.0
MIN_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 60.0
_WEIGHT: Final = 0.1


@dataclass(slots=True)
class _Line:
    """One tier: how many run, who waits (oldest first), and how long a place was held of late (moving mean)."""

    concurrency: int
    queue: int
    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    service_s: float = FIRST_GUESS_S

    def retry_after_s(self) -> float:
        """Return about when a place in the line is free: what is ahead, over what runs side by side."""
        ahead = self.running + len(self.waiting) + 1 - self.concurrency
        estimate = self.service_s * max(1, ahead) / self.concurrency
        return min(MAX_RETRY_S, max(MIN_RETRY_S, estimate))


class TierAdmission:
    """Bounds how much runs on each tier: first come, first served. For one event loop; a place is never lost.

    clock: loop-clock seconds, the same that deadlines are given in.
    """

    def __init__(self, tiers: Iterable[Tier], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self.reshape(tiers)

    def reshape(self, tiers: Iterable[Tier]) -> None:
        """Take the bounds of a new policy; what runs and waits stays, a tier that is gone drains."""
        wanted = {tier.id: tier for tier in tiers}
        for gone in [name for name, line in self._lines.items() if name not in wanted and not line.running]:
            del self._lines[gone]
        for name, tier in wanted.items():
            line = self._lines.setdefault(name, _Line(tier.concurrency, tier.queue))
            line.concurrency, line.queue = tier.concurrency, tier.queue
            self._wake(line)

    def running(self, tier: str) -> int:
        """Return how many places are held."""
        line = self._lines.get(tier)
        return 0 if line is None else line.running

    def queued(self, tier: str) -> int:
        """Return how many wait."""
        line = self._lines.get(tier)
        return 0 if line is None else len(line.waiting)

    def tiers(self) -> tuple[str, ...]:
        """Return the tiers that have bounds."""
        return tuple(self._lines)

    @asynccontextmanager
    async def slot(self, tier: str, *, deadline: float) -> AsyncIterator[None]:
        """Hold a place on the tier; Overloaded when its queue is full, DeadlineExceeded when time is up.

        A name that is no tier (a model called directly, outside all tiers) is not bounded.
        """
        line = self._lines.get(tier)
        if line is None:
            yield
            return
        await self._enter(line, tier, deadline)
        started = self._clock()
        try:
            yield
        finally:
            line.service_s += _WEIGHT * (self._clock() - started - line.service_s)
            self._leave(line)

    async def _enter(self, line: _Line, tier: str, deadline: float) -> None:
        now = self._clock()
        if now >= deadline:
            raise DeadlineExceeded(f"tier {tier!r}: the request's deadline passed before a place was free")
        if line.running < line.concurrency and not line.waiting:
            line.running += 1
            return
        if len(line.waiting) >= line.queue:
            raise Overloaded(
                f"tier {tier!r} is full: {line.running} running, {len(line.waiting)} waiting; try again later",
                code="queue_full",
                retry_after_s=line.retry_after_s(),
            )
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        line.waiting.append(place)
        timer = loop.call_later(deadline - now, _expire, place, tier)
        is_held = False
        try:
            await place
            is_held = True
        finally:
            timer.cancel()
            if not is_held:
                self._give_up(line, place)

    def _give_up(self, line: _Line, place: asyncio.Future[None]) -> None:
        """Leave the line; a place that was given in the same moment is handed on."""
        if place in line.waiting:
            line.waiting.remove(place)
        elif place.done() and not place.cancelled() and place.exception() is None:
            self._leave(line)

    def _leave(self, line: _Line) -> None:
        line.running -= 1
        self._wake(line)

    @staticmethod
    def _wake(line: _Line) -> None:
        """Give free places to those who waited longest; their place counts as held from here on."""
        while line.waiting and line.running < line.concurrency:
            place = line.waiting.popleft()
            if not place.done():
                line.running += 1
                place.set_result(None)


def _expire(place: asyncio.Future[None], tier: str) -> None:
    if not place.done():
        place.set_exception(DeadlineExceeded(f"tier {tier!r}: no place was free before the request's deadline"))
