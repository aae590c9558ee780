"""Places on a tier: so many run at once, so many wait in line, nobody waits past the deadline."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
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

    async def wait(self, tier: str, within_s: float) -> None:
        """Wait for a place, at most so long and only if the queue has room."""
        if len(self.waiting) >= self.queue:
            raise Overloaded(
                f"tier {tier!r} is full: {self.running} running, {len(self.waiting)} waiting; try again later",
                code="queue_full",
                retry_after_s=self.retry_after_s(),
            )
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self.waiting.append(place)
        timer = loop.call_later(within_s, _expire, place, tier)
        is_held = False
        try:
            await place
            is_held = True
        finally:
            timer.cancel()
            if not is_held:
                self._give_up(place)

    def leave(self) -> None:
        """Give a place back."""
        self.running -= 1
        self.wake()

    def wake(self) -> None:
        """Give free places to those who waited longest; their place counts as held from here on."""
        while self.waiting and self.running < self.concurrency:
            place = self.waiting.popleft()
            if not place.done():
                self.running += 1
                place.set_result(None)

    def _give_up(self, place: asyncio.Future[None]) -> None:
        """Stop waiting; a place that was given in the same moment is handed on."""
        if place in self.waiting:
            self.waiting.remove(place)
        elif place.done() and not place.cancelled() and place.exception() is None:
            self.leave()


class Place:
    """Async context manager: a place on one tier, held while the `async with` lasts. Written out, as it is hot."""

    __slots__ = ("_clock", "_deadline", "_line", "_started", "_tier")

    def __init__(self, line: _Line | None, tier: str, deadline: float, clock: Callable[[], float]) -> None:
        self._line = line
        self._tier = tier
        self._deadline = deadline
        self._clock = clock
        self._started = 0.0

    async def __aenter__(self) -> None:
        line = self._line
        if line is None:
            return
        now = self._started = self._clock()
        if now >= self._deadline:
            raise DeadlineExceeded(f"tier {self._tier!r}: the request's deadline passed before a place was free")
        if line.running < line.concurrency and not line.waiting:
            line.running += 1
            return
        await line.wait(self._tier, self._deadline - now)
        self._started = self._clock()

    async def __aexit__(self, *_: object) -> None:
        line = self._line
        if line is not None:
            line.service_s += _WEIGHT * (self._clock() - self._started - line.service_s)
            line.leave()


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
            line.wake()

    def running(self, tier: str) -> int:
        """Return how many places are held."""
        line = self._lines.get(tier)
        return 0 if line is None else line.running

    def queued(self, tier: str) -> int:
        """Return how many wait."""
        line = self._lines.get(tier)
        return 0 if line is None else len(line.waiting)

    def has_room(self, tier: str) -> bool:
        """Tell whether a place is free and nobody waits for it."""
        line = self._lines.get(tier)
        return line is None or (line.running < line.concurrency and not line.waiting)

    def wait_s(self, tier: str) -> float:
        """Return about how long a request that came now would wait for a place, 0 where one is free."""
        line = self._lines.get(tier)
        if line is None or self.has_room(tier):
            return 0.0
        return line.service_s * (len(line.waiting) + 1) / line.concurrency

    def tiers(self) -> tuple[str, ...]:
        """Return the tiers that have bounds."""
        return tuple(self._lines)

    def slot(self, tier: str, *, deadline: float) -> Place:
        """Hold a place on the tier; Overloaded when its queue is full, DeadlineExceeded when time is up.

        A name that is no tier (a model called directly, outside all tiers) is not bounded.
        """
        return Place(self._lines.get(tier), tier, deadline, self._clock)


def _expire(place: asyncio.Future[None], tier: str) -> None:
    if not place.done():
        place.set_exception(DeadlineExceeded(f"tier {tier!r}: no place was free before the request's deadline"))
