"""What follows an attempt that broke before commit: the same tier again, another tier, or nothing."""

from collections import Counter
from typing import Final

from headrace.contracts.errors import BackendError
from headrace.contracts.routing import Plan

MAX_PAUSE_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.05


class Recovery:
    """Remembers, for one request, which retries are used and which tiers broke."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._broken: set[str] = set()
        self._retries: Counter[tuple[str, str]] = Counter()

    def after(self, error: BackendError, tier: str) -> str | None:
        """Return the tier to try next, None to give up. Rules in order; a rule that has nothing left is passed over."""
        for rule in self._plan.on_failure:
            if error.kind not in rule.errors and "any" not in rule.errors:
                continue
            if self._retries[rule.id, tier] < rule.retries:
                self._retries[rule.id, tier] += 1
                return tier
            self._broken.add(tier)
            for other in rule.then:
                if other not in self._broken and other in self._plan.failure_targets:
                    return other
        return None

    def pause_s(self, error: BackendError, tier: str) -> float:
        """Return how long to wait before the same tier is asked again: the upstream's own word, within a bound."""
        if error.retry_after_s is not None:
            return min(max(error.retry_after_s, 0.0), MAX_PAUSE_S)
        used = sum(count for (_, asked), count in self._retries.items() if asked == tier)
        return min(FIRST_PAUSE_S * (1 << max(used - 1, 0)), MAX_PAUSE_S)
