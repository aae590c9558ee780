"""One timer per answer for all its time bounds; costs two assignments per read. Knows nothing of HTTP."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Expiry = Literal["first_byte", "between", "deadline"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time bounds of one attempt in seconds; the call's own deadline holds besides, and the session's connect bound.

    first_byte_s and between_s bound streams; a whole answer is bounded by the call's deadline.
    """

    first_byte_s: float = 60.0
    between_s: float = 30.0


class Watchdog:
    """Calls `bite` when a read waits too long or the deadline passes. Time spent by the consumer does not count.

    Clock: the running loop's. Not safe to share.
    """

    __slots__ = ("_bite", "_bound_s", "_deadline", "_handle", "_loop", "_since", "_word", "expiry")

    def __init__(self, bite: Callable[[], None], *, deadline: float, since: float, first_byte_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._bite = bite
        self._deadline = deadline
        self._bound_s = first_byte_s
        self._word: Expiry = "first_byte"
        self._since: float | None = since
        self.expiry: Expiry | None = None
        self._handle = self._loop.call_at(min(since + first_byte_s, deadline), self._check)

    def wait(self) -> None:
        """Start counting: a read begins."""
        if self._since is None:
            self._since = self._loop.time()

    def rest(self, between_s: float) -> None:
        """Stop counting: the read is over, and `between_s` bounds the next."""
        self._since = None
        self._bound_s = between_s
        self._word = "between"

    def stop(self) -> None:
        """Call nobody any more."""
        self._handle.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        due = (now if self._since is None else self._since) + self._bound_s
        if now >= self._deadline:
            self.expiry = "deadline"
        elif now >= due:
            self.expiry = self._word
        if self.expiry is None:
            self._handle = self._loop.call_at(min(due, self._deadline), self._check)
        else:
            self._bite()
