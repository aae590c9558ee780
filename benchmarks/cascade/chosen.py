"""Runs a cascade out of fold and chooses its price on the other folds; what cannot show a gain there is off.

Three aims to choose by. "margin": the cheapest price that loses at most TARGET_LOSS against the strong model. "budget":
the most accurate price within a share of the strong model's cost. "coin": the price that lies most above the coin of
equal cost between weak and strong. The guard: where the gain over that coin has no lower bound above zero on the other
folds (corrected for having picked among many prices), the fold goes to the strong model at once, which is exactly as
good as the coin of its cost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from benchmarks.cascade.controls import coin
from benchmarks.cascade.question_side import Apart
from benchmarks.cascade.record import Doubles, Record, Rows
from benchmarks.cascade.staged import Outcome, Recipe, Trio, always, decide, join
from headrace.router.training.bootstrap import Bootstrap, lower_bound
from headrace.router.training.corpus import FOLDS

Aim = Literal["margin", "budget", "coin"]

PRICES: Final = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.055, 0.07, 0.09, 0.12, 0.16, 0.22, 0.3, 0.4, 0.6)
# Half of the margin of one point: the cheapest of many prices looks better than it is.
TARGET_LOSS: Final = 0.005
BUDGET: Final = 0.40
# Of the budget, what is planned with: a price that just fits on some folds is over it on others.
PLANNED: Final = 0.95
DOUBT: Final = 0.05
GUARD_RESAMPLES: Final = 4000


@dataclass(frozen=True, slots=True)
class Setup:
    """Three models of one record: a weak one, a smaller peer, a strong one; predictions made apart from the folds.

    guards: for each held-out fold, draws of the questions of the other folds.
    """

    record: Record
    weak: str
    peer: str
    strong: str
    apart: Apart
    guards: tuple[Bootstrap, ...]

    @property
    def size(self) -> int:
        """Return the number of questions."""
        return self.record.fold.size

    def trio(self, predicted: Doubles) -> Trio:
        """Return the three models' answers with predictions beside them."""
        models = self.record.models
        return Trio(models[self.weak], models[self.peer], models[self.strong], predicted)


@dataclass(frozen=True, slots=True)
class Run:
    """One recipe at every price: out of fold over all questions, and inside the other folds of each held-out fold."""

    setup: Setup
    outcomes: Mapping[float, Outcome]
    inside: tuple[Mapping[float, Outcome], ...]

    def chosen(self, aim: Aim, *, guarded: bool) -> tuple[Outcome, tuple[float | None, ...]]:
        """Return the outcome with every fold's price chosen on the others, and the prices; None: strong at once."""
        fold = self.setup.record.fold
        prices = tuple(self._price(aim, held, guarded=guarded) for held in range(FOLDS))
        strong = always(self.setup.record.models[self.setup.strong])
        parts = []
        for held, price in enumerate(prices):
            rows = np.flatnonzero(fold == held)
            parts.append((rows, (strong if price is None else self.outcomes[price]).rows(rows)))
        return join(parts), prices

    def _price(self, aim: Aim, held: int, *, guarded: bool) -> float | None:
        fold = self.setup.record.fold
        seen = np.flatnonzero(fold != held)
        trio = self.setup.trio(self.setup.apart.out_of_fold).rows(seen)
        price = _CHOICES[aim](self.inside[held], trio)
        if price is None or not guarded:
            return price
        gained = lift(self.inside[held][price], trio, self.setup.guards[held])
        return price if lower_bound(gained, DOUBT / len(self.inside[held])) > 0 else None


def guards(record: Record) -> tuple[Bootstrap, ...]:
    """Return, for each held-out fold, the draws that the guard judges by."""
    groups = [record.group[record.fold != held] for held in range(FOLDS)]
    return tuple(
        Bootstrap.of(np.unique(one, return_inverse=True)[1].astype(np.int64), resamples=GUARD_RESAMPLES)
        for one in groups
    )


def run(setup: Setup, recipe: Recipe) -> Run:
    """Run a recipe at every price, out of fold and, for the choice of a price, inside every set of four folds."""
    fold = setup.record.fold
    prices = PRICES if recipe != "cascade" else PRICES[:1]
    trio = setup.trio(setup.apart.out_of_fold)
    outcomes: dict[float, Outcome] = {}
    inside: list[dict[float, Outcome]] = [{} for _ in range(FOLDS)]
    for price in prices:
        parts = []
        for held in range(FOLDS):
            nested = setup.trio(setup.apart.nested[held])
            rows, others = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
            parts.append((rows, decide(recipe, nested.rows(others), trio.rows(rows), price)))
            inside[held][price] = _inside(recipe, nested, fold, held, price)
        outcomes[price] = join(parts)
    return Run(setup, outcomes, tuple(inside))


def lift(outcome: Outcome, trio: Trio, bootstrap: Bootstrap) -> Doubles:
    """Return what a strategy gains over the coin of its cost between weak and strong: as it is, then in every draw."""
    low, high = ((bootstrap.means(one.right), bootstrap.means(one.cost)) for one in (trio.weak, trio.strong))
    return bootstrap.means(outcome.right) - coin(low, high, bootstrap.means(outcome.cost))


def _inside(recipe: Recipe, trio: Trio, fold: Rows, held: int, price: float) -> Outcome:
    """Return the outcome over every fold but `held`, each from a fit without it and without `held`."""
    order = np.flatnonzero(fold != held)
    at = {row: number for number, row in enumerate(order)}
    parts = []
    for inner in sorted(set(range(FOLDS)) - {held}):
        rows = np.flatnonzero(fold == inner)
        others = np.flatnonzero((fold != held) & (fold != inner))
        place = np.array([at[row] for row in rows])
        parts.append((place, decide(recipe, trio.rows(others), trio.rows(rows), price)))
    return join(parts)


def _within_margin(outcomes: Mapping[float, Outcome], trio: Trio) -> float | None:
    least = trio.strong.right.mean() - TARGET_LOSS
    allowed = [price for price, one in outcomes.items() if one.right.mean() >= least]
    return min(allowed, key=lambda price: float(outcomes[price].cost.mean())) if allowed else None


def _within_budget(outcomes: Mapping[float, Outcome], trio: Trio) -> float | None:
    most = PLANNED * BUDGET * trio.strong.cost.mean()
    allowed = [price for price, one in outcomes.items() if one.cost.mean() <= most]
    return max(allowed, key=lambda price: float(outcomes[price].right.mean())) if allowed else None


def _most_above_coin(outcomes: Mapping[float, Outcome], trio: Trio) -> float | None:
    as_it_is = Bootstrap(np.full((1, trio.weak.right.size), 1.0 / trio.weak.right.size))
    return max(outcomes, key=lambda price: float(lift(outcomes[price], trio, as_it_is)[0]))


_CHOICES: Final[Mapping[Aim, Callable[[Mapping[float, Outcome], Trio], float | None]]] = {
    "margin": _within_margin,
    "budget": _within_budget,
    "coin": _most_above_coin,
}
