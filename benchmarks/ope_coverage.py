"""Do the off-policy estimators tell the truth? Simulated traffic whose true value is known, many times over.

`make bench NAME=ope_coverage`, under a minute. A question has a difficulty; the logging policy sends the hard ones to
the large tier and explores with probability epsilon; the new policy draws its line elsewhere. Quality is right or
wrong; cost is skewed, as the lengths of answers are. The reward model of the direct method and of the doubly robust
estimator is either good (the true means with a small error) or bad (one constant for both tiers).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.overhead import host
from headrace.router.replay.estimators import NAMES, Array, Name, Samples, effective, estimate

RESULT: Final = Path(__file__).parent / "results" / "ope_coverage.csv"
EPSILONS: Final = (0.05, 0.2, 0.5)
SIZES: Final = (500, 2000)
MODELS: Final = ("good", "bad")
REWARDS: Final = ("quality", "cost")
REPETITIONS: Final = 2000
TRUTH_SIZE: Final = 2_000_000
OLD_BAR: Final = 0.6
NEW_BAR: Final = 0.3
SPREAD: Final = 0.8
SEED: Final = 20261122


@dataclass(frozen=True, slots=True)
class World:
    """One arm of the simulation."""

    epsilon: float
    reward: str
    model: str
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """How one estimator did in one world, over all repetitions. coverage: share of intervals that hold the truth.

    effective: the median effective sample size. bias, rmse and width are in the reward's unit.
    """

    world: World
    estimator: Name
    effective: float
    truth: float
    bias: float
    rmse: float
    coverage: float
    width: float


def mean_reward(reward: str, difficulty: Array, large: Array) -> Array:
    """Return the true mean reward of questions on a tier (`large` 1 or 0): P(right), or micro-USD."""
    if reward == "quality":
        return np.where(large > 0, 0.95 - 0.25 * difficulty, 0.9 - 0.8 * difficulty)
    return np.where(large > 0, 200.0, 20.0) * (1.0 + difficulty)


def simulate(world: World, repetitions: int, random: np.random.Generator) -> Samples:
    """Return logged requests, one row a repetition."""
    difficulty = random.beta(1.5, 2.5, (repetitions, world.n))
    usual = (difficulty > OLD_BAR).astype(np.float64)
    explores = random.random(difficulty.shape) < world.epsilon
    large = np.where(explores, random.integers(0, 2, difficulty.shape), usual)
    propensity = np.where(large == usual, 1.0 - world.epsilon / 2, world.epsilon / 2)
    wanted = (difficulty > NEW_BAR).astype(np.float64)
    mean = mean_reward(world.reward, difficulty, large)
    if world.reward == "quality":
        reward = (random.random(mean.shape) < mean).astype(np.float64)
    else:
        reward = mean * random.lognormal(-(SPREAD**2) / 2, SPREAD, mean.shape)
    return Samples(reward, propensity, (large == wanted).astype(np.float64), *_models(world, difficulty, large, wanted))


def truth(reward: str, random: np.random.Generator) -> float:
    """Return the new policy's true value; its own error is under a thousandth of the value."""
    difficulty = random.beta(1.5, 2.5, TRUTH_SIZE)
    return float(mean_reward(reward, difficulty, (difficulty > NEW_BAR).astype(np.float64)).mean())


def rows(world: World, value: float, repetitions: int, random: np.random.Generator) -> Iterator[Row]:
    """Yield one row an estimator."""
    samples = simulate(world, repetitions, random)
    size = float(np.median(effective(samples)))
    for name in NAMES:
        found = estimate(samples, name)
        is_known = ~np.isnan(found.value)
        error = found.value[is_known] - value
        covered = (found.low <= value) & (value <= found.high)
        yield Row(
            world,
            name,
            size,
            value,
            bias=float(error.mean()),
            rmse=float(np.sqrt((error**2).mean())),
            coverage=float(covered[is_known].mean()),
            width=float((found.high - found.low)[is_known].mean()),
        )


def _models(world: World, difficulty: Array, large: Array, wanted: Array) -> tuple[Array, Array]:
    """Return what the reward model says of what was done and of what the new policy wants."""
    if world.model == "bad":
        constant = np.full_like(difficulty, mean_reward(world.reward, np.array(0.5), np.array(0.0)))
        return constant, constant
    return 0.95 * mean_reward(world.reward, difficulty, large), 0.95 * mean_reward(world.reward, difficulty, wanted)


def main() -> None:
    """Simulate every arm and write the table."""
    random = np.random.default_rng(SEED)
    truths = {reward: truth(reward, random) for reward in REWARDS}
    worlds = [World(e, reward, model, n) for e in EPSILONS for reward in REWARDS for model in MODELS for n in SIZES]
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    figures = ("effective", "truth", "bias", "rmse", "coverage", "width")
    with RESULT.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, "epsilon", "reward", "model", "n", "estimator", "repetitions", *figures])
        for world in worlds:
            for row in rows(world, truths[world.reward], REPETITIONS, random):
                cells = [f"{getattr(row, figure):.4g}" for figure in figures]
                arm = [world.epsilon, world.reward, world.model, world.n, row.estimator]
                out.writerow([*stamp.values(), *arm, REPETITIONS, *cells])
                print(*arm, *(f"{figure} {cell}" for figure, cell in zip(figures, cells, strict=True)))


if __name__ == "__main__":
    main()
