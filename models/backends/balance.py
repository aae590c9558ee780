"""Which endpoint of a backend gets the next request, and which ones rest. Pure: the time is always passed in.

A call with an affinity key goes to its favourite by rendezvous hashing, so that prefixes stay cached, unless the
favourite carries more than `overload` times the mean load (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with
bounded loads", arXiv 1608.01350); then to the next favourite, and without a key to the least loaded endpoint.
After `eject_after` failures in a row an endpoint rests for a doubling, capped time and is then tried by one request.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from headrace.contracts.errors import BackendUnavailable


@dataclass(frozen=True, slots=True)
class BalanceLimits:
    """The bounds of choice and rest."""

    overload: float = 1.25
    eject_after: int = 3
    rest_s: float = 1.0
    max_rest_s: float = 30.0
    max_busy_s: float = 10.0


@dataclass(slots=True)
class _State:
    running: int = 0
    failures: int = 0
    ejections: int = 0
    resting_until: float = -math.inf
    busy_until: float = -math.inf
    is_probing: bool = False


class Balancer:
    """Load and health of the endpoints of one backend. Shared by the tasks of one loop; never awaits."""

    def __init__(self, names: Sequence[str], limits: BalanceLimits | None = None) -> None:
        self._names = tuple(names)
        self._limits = limits or BalanceLimits()
        self._states = [_State() for _ in names]

    def is_live(self, now: float) -> bool:
        """True while at least one endpoint may be tried."""
        for state in self._states:  # noqa: SIM110  (asked twice a request: a generator costs more than the question)
            if self._may_try(state, now):
                return True
        return False

    def take(self, affinity: str, now: float, *, without: frozenset[int] = frozenset()) -> int:
        """Choose an endpoint and count the request on it; pair with `give`. BackendUnavailable when all rest."""
        open_ones = [i for i, state in enumerate(self._states) if i not in without and self._may_try(state, now)]
        if not open_ones:
            wait_s = max(min(state.resting_until for state in self._states) - now, 0.0)
            raise BackendUnavailable(
                f"no endpoint of {len(self._names)} is taking requests; the next try is due in {wait_s:.1f} s",
                retry_after_s=math.ceil(wait_s),
            )
        idle = [i for i in open_ones if self._states[i].busy_until <= now] or open_ones
        chosen = idle[0] if len(idle) == 1 else self._favourite(idle, affinity)
        state = self._states[chosen]
        state.running += 1
        if state.resting_until > -math.inf:
            state.is_probing = True
        return chosen

    def give(self, index: int) -> None:
        """Uncount a finished request."""
        state = self._states[index]
        state.running -= 1
        state.is_probing = False

    def succeeded(self, index: int) -> None:
        """Forget the endpoint's failures."""
        state = self._states[index]
        state.failures = state.ejections = 0
        state.resting_until = -math.inf

    def failed(self, index: int, now: float) -> None:
        """Count a failure; the endpoint rests after too many in a row, at once when its trial failed."""
        state = self._states[index]
        state.failures += 1
        if state.failures >= self._limits.eject_after or state.is_probing:
            rest_s = min(self._limits.rest_s * 2.0 ** min(state.ejections, 30), self._limits.max_rest_s)
            state.ejections += 1
            state.resting_until = now + rest_s

    def busy(self, index: int, now: float, retry_after_s: float | None) -> None:
        """Prefer others for a while: the endpoint is healthy but full (429, 503)."""
        wait_s = self._limits.rest_s if retry_after_s is None else retry_after_s
        self._states[index].busy_until = now + min(wait_s, self._limits.max_busy_s)

    def running(self) -> tuple[int, ...]:
        """Requests in flight per endpoint."""
        return tuple(state.running for state in self._states)

    def _may_try(self, state: _State, now: float) -> bool:
        if state.resting_until == -math.inf:
            return True
        return now >= state.resting_until and not state.is_probing

    def _favourite(self, indexes: Sequence[int], affinity: str) -> int:
        if not affinity:
            return min(indexes, key=lambda i: self._states[i].running)
        load = sum(self._states[i].running for i in indexes) + 1
        bound = math.ceil(self._limits.overload * load / len(indexes))
        ranked = sorted(indexes, key=lambda i: _weight(self._names[i], affinity), reverse=True)
        return next(i for i in ranked if self._states[i].running < bound)


@lru_cache(maxsize=4096)
def _weight(name: str, affinity: str) -> bytes:
    return hashlib.blake2s(f"{name}\n{affinity}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
