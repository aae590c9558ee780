"""Budgets of rules that pace their spending: banks that fill as time or requests pass and that answers empty.

In memory, for one event loop. A restart begins with full banks; a reload keeps those whose budget it leaves as it is.
"""

from collections.abc import Callable
from typing import Final

from headrace.contracts.policy import BudgetPacing, Policy
from headrace.contracts.routing import Pace, Plan

RESERVE: Final = 0.05
"""The most that a bank holds, as a share of the budget; the rest flows in evenly over the window."""
WINDOW_REQUESTS: Final = 1_000.0


class Bank:
    """One budget: at most `strategy.microusd` leave in any window, beyond what one answer costs more than expected.

    A token bucket: it holds 5% of the budget and the other 95% flow in over one window, so that what leaves in any
    window, however it lies, is at most what was in it plus what came. The window passes in seconds of `clock`, or in
    requests. A clock that goes back adds nothing; it goes on from where it stands then.
    """

    __slots__ = ("_allowed", "_at", "_clock", "_full", "_per_tick", "_spent", "strategy")

    def __init__(self, strategy: BudgetPacing, clock: Callable[[], float]) -> None:
        self.strategy = strategy
        self._clock = clock
        self._full = strategy.microusd * RESERVE
        self._per_tick = strategy.microusd * (1.0 - RESERVE) / (strategy.window_s or WINDOW_REQUESTS)
        self._allowed = self._full
        self._spent = 0.0
        self._at = clock()

    def pace(self) -> Pace:
        """Return where the budget stands now."""
        if self.strategy.window_s is not None:
            self._pass_time()
        spare = (self._allowed - self._spent) / self._full
        return Pace(spent_microusd=round(self._spent), allowed_microusd=int(self._allowed), spare=spare)

    def take(self, microusd: int) -> None:
        """Take what one request is expected to cost."""
        if self.strategy.window_s is None:
            self._fill(1.0)
        self._spent += microusd

    def correct(self, microusd: int) -> None:
        """Take what a request cost more than was expected, or with a negative number give back what it cost less.

        Debt is bounded by one window's budget: a cheap tier that is itself over the budget must not lock out the other
        one for good. Nothing can be given back that was not taken (by a bank before a reload).
        """
        spent = max(self._spent + microusd, self._allowed - self._full)
        self._spent = min(spent, self._allowed + self.strategy.microusd)

    def _pass_time(self) -> None:
        now = self._clock()
        self._fill(max(0.0, now - self._at))
        self._at = now

    def _fill(self, ticks: float) -> None:
        self._allowed = min(self._allowed + ticks * self._per_tick, self._spent + self._full)


class Banks:
    """The bank of every rule that has a budget, by virtual model and rule."""

    def __init__(self, policy: Policy, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._banks: dict[tuple[str, str], Bank] = {}
        self.reshape(policy)

    def reshape(self, policy: Policy) -> None:
        """Take the budgets of a new policy; one that is as it was keeps what it holds."""
        kept: dict[tuple[str, str], Bank] = {}
        for name, model in policy.virtual_models.items():
            for rule in model.select:
                if isinstance(rule.use, BudgetPacing):
                    old = self._banks.get((name, rule.id))
                    kept[name, rule.id] = (
                        old if old is not None and old.strategy == rule.use else Bank(rule.use, self._clock)
                    )
        self._banks = kept

    def pace(self, model: str, rule: str) -> Pace | None:
        """Return where the rule's budget stands; None for a rule without one."""
        bank = self._banks.get((model, rule))
        return None if bank is None else bank.pace()

    def take(self, plan: Plan) -> None:
        """Take what the plan is expected to cost from its rule's bank."""
        if plan.pace is not None and (bank := self._banks.get((plan.virtual_model, plan.rule))) is not None:
            bank.take(plan.expected_cost_microusd)

    def settle(self, plan: Plan, microusd: int) -> None:
        """Replace what the plan was expected to cost by what it did cost. Once for every `take`."""
        if plan.pace is not None and (bank := self._banks.get((plan.virtual_model, plan.rule))) is not None:
            bank.correct(microusd - plan.expected_cost_microusd)
