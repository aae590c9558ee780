"""Does a bound that `headrace router tune` was given hold on questions it has not seen? Loss, money, time.

`make bench NAME=constrained_choice`, about three minutes. Two cascades of the default pair: the default rules, and the
bare one that drafts with the small tier first whatever is asked. "Splits of the record": chosen on the calibration
split, tried on the harder test split, as an operator would. "1,000 resamples": both splits pooled, and as many
questions drawn anew, with replacement, to choose on and to try on, so that both are of one kind, as the bound supposes.
Judges are cross-fitted over the pool, and the difficulty model has learned from no question it judges.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.cascade.long_table import Line, write
from benchmarks.cascade_live import VIRTUAL_MODEL
from headrace.contracts.policy import Policy, Rule
from headrace.gateway.settings.load import load as load_settings
from headrace.gateway.settings.load import packaged
from headrace.router.cascade.acceptance import load as load_judge
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.compose import Composer, single
from headrace.router.training.constrain import MICROUSD_PER_QUESTION, Arm, Limit, choose, tried
from headrace.router.training.held_out import held_out
from headrace.router.training.metrics import Interval, interval
from headrace.router.training.table import Entry, read_table
from headrace.router.training.tune import CASCADE, RISKS, cross_fitted, ladder, tune, usable

RESULT: Final = Path(__file__).parent / "results" / "constrained_choice.csv"
RESAMPLES: Final = 1000
DRAWS: Final = 400
KNOWN, ASKED = 405, 354  # questions of the splits of the record
SEED: Final = 20261122
FIGURES: Final = ("max_risk", "burden", "right_percent", "usd_per_1k", "minus_random_points")
LOSSES: Final = (0.02, 0.05, 0.1)
USD_PER_1K: Final[Mapping[str, tuple[float, ...]]] = {
    "default rules": (0.058, 0.06, 0.062),
    "small first": (0.05, 0.055, 0.06),
}
SECONDS: Final = (130.0, 145.0, 160.0)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pool:
    """Every question of the record with its outcomes: the cascade at each risk, both tiers alone."""

    arms: Mapping[float, Arm]
    small: Arm
    large: Arm

    @property
    def questions(self) -> int:
        """How many there are."""
        return self.large.right.size

    def rows(self, chosen: Rows) -> "Pool":
        """Return the chosen questions."""
        arms = {risk: arm.rows(chosen) for risk, arm in self.arms.items()}
        return Pool(arms, self.small.rows(chosen), self.large.rows(chosen))


def setups(policy: Policy) -> dict[str, Policy]:
    """Return the default policy, and the one whose rules draft with the small tier first, always."""
    model = replace(policy.virtual_models[VIRTUAL_MODEL], select=(Rule("default", None, policy.tiers[0].id),))
    return {"default rules": policy, "small first": replace(policy, virtual_models={VIRTUAL_MODEL: model})}


def limits(setup: str) -> list[Limit]:
    """Return the bounds that are tried."""
    return [
        *(Limit("max_loss", most) for most in LOSSES),
        *(Limit("max_usd_per_1k", most) for most in USD_PER_1K[setup]),
        *(Limit("max_latency_s", most) for most in SECONDS),
    ]


def pooled(composer: Composer, entries: Sequence[Entry], every: Sequence[Entry]) -> Pool:
    """Compose every risk on all questions."""
    ends = ladder(composer.policy)
    found = cross_fitted(composer, entries, every, RISKS)
    small, large = (Arm.of([single(one, card) for one in entries]) for card in (ends[0], ends[-1]))
    return Pool({risk: Arm.of(results) for risk, results in found.items()}, small, large)


def once(
    served: Composer, apart: Composer, limit: Limit, splits: tuple[Sequence[Entry], Sequence[Entry]]
) -> Iterator[tuple[str, Interval]]:
    """Yield the figures of a choice on the calibration split, tried on the test split."""
    found = tune(served, apart, limit, *splits, table="the packaged record")
    yield "certified", exact(float(found.chosen is not None))
    if found.chosen is None:
        return
    yield "max_risk", exact(found.chosen.max_risk)
    cascade = found.shown[CASCADE]
    yield "burden", cascade.burden
    yield "right_percent", cascade.right_percent
    yield "usd_per_1k", cascade.usd_per_1k
    yield "minus_random_points", cascade.over_random
    yield "broken_percent", exact(100 * (1 - found.holds))


def often(pool: Pool, limit: Limit) -> Iterator[tuple[str, Interval]]:
    """Yield the figures of many choices, each on questions drawn from the pool and tried on others drawn from it.

    wrongly_certified_percent: of all draws, those whose choice breaks the bound on the pool itself; the promise is 5.
    """
    generator = np.random.default_rng(SEED)
    bootstrap = Bootstrap.of(np.arange(KNOWN), resamples=DRAWS)
    truth = {risk: float(limit.burden(arm, pool.large).mean()) for risk, arm in pool.arms.items()}
    tries = []
    for _ in range(RESAMPLES):
        known, asked = (pool.rows(generator.integers(pool.questions, size=size)) for size in (KNOWN, ASKED))
        chosen = choose(limit, tried(limit, known.arms, known.large, bootstrap))
        if chosen is not None:
            tries.append((chosen.max_risk, *realised(asked, limit, chosen.max_risk)))
    yield "certified", exact(len(tries) / RESAMPLES)
    wrong = sum(truth[one[0]] > limit.bar for one in tries)
    yield "wrongly_certified_percent", exact(100 * wrong / RESAMPLES)
    if not tries:
        return
    for place, figure in enumerate(FIGURES):
        values = np.array([one[place] for one in tries])
        yield figure, interval(float(values.mean()), values)
    broken = np.array([one[FIGURES.index("burden")] for one in tries]) > limit.bar
    yield "broken_percent", exact(100 * float(broken.mean()))


def realised(pool: Pool, limit: Limit, risk: float) -> tuple[float, float, float, float]:
    """Return the mean burden, percent right, USD for 1,000 and points above the coin of one threshold."""
    arm = pool.arms[risk]
    cost, low, high = (float(one.cost.mean()) for one in (arm, pool.small, pool.large))
    share = min(1.0, max(0.0, (cost - low) / (high - low)))
    right, weak, strong = (100 * float(one.right.mean()) for one in (arm, pool.small, pool.large))
    burden = float(limit.burden(arm, pool.large).mean())
    return burden, right, cost / MICROUSD_PER_QUESTION, right - (1 - share) * weak - share * strong


def exact(value: float) -> Interval:
    """Return a figure that has no draws."""
    return Interval(value, value, value)


def main() -> None:
    """Try every bound on both cascades and write the table."""
    calibration, test = read_table(split="calibration"), read_table(split="test")
    every = [*calibration, *test]
    difficulty = load_difficulty()
    apart = held_out(difficulty, difficulty.sha256, calibration)
    found: list[Line] = []
    for setup, policy in setups(load_settings(packaged()).policy).items():
        composer = Composer(policy, VIRTUAL_MODEL, difficulty, load_judge())
        blind = replace(composer, difficulty=apart)
        pool = pooled(blind, usable(every, policy, table="the packaged record"), every)
        for limit in limits(setup):
            parts = {"splits of the record": once(composer, blind, limit, (calibration, test))}
            parts["1,000 resamples"] = often(pool, limit)
            for part, figures in parts.items():
                place = (part, setup, f"{limit.kind} {limit.most:g}")
                found += [Line((*place, figure), one, pool.questions) for figure, one in figures]
                print(*place, flush=True)
    write(RESULT, found, ("numpy",))
    for line in found:
        print(" | ".join(line.cells()))


if __name__ == "__main__":
    main()
