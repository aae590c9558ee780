"""Chooses the accepted risk of a cascade for a bound, on a record of answers, and shows it on questions not seen. Pure.

The choice reads the calibration split alone. The judge is fitted anew without each fold before it judges that fold, so
no answer has a say in its own verdict; on the test split it is fitted on the whole calibration split, as it is served.
The question-side model is taken as it is served, but for questions that it learned from (see held_out.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import ConfigError
from headrace.contracts.models import ModelCard
from headrace.contracts.policy import BudgetPacing, Experts, Latency, LowConfidence, Policy
from headrace.contracts.protocols import AnswerJudge
from headrace.router.cascade.acceptance import CalibratedJudge, ModelCalibration
from headrace.router.training.assemble import fold_of
from headrace.router.training.bootstrap import Bootstrap, measured
from headrace.router.training.calibrate import calibrate
from headrace.router.training.compose import Composer, Result, oracle, single
from headrace.router.training.constrain import MICROUSD_PER_QUESTION, Arm, Limit, Trial, choose, tried
from headrace.router.training.corpus import FOLDS
from headrace.router.training.metrics import Interval
from headrace.router.training.table import Entry

RISKS: Final = (
    0.005,
    0.01,
    0.02,
    0.03,
    0.04,
    0.05,
    0.06,
    0.07,
    0.08,
    0.1,
    0.12,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.7,
    0.9,
)
RESAMPLES: Final = 1000
CASCADE: Final = "cascade"

Fit = Callable[[Sequence[Entry]], AnswerJudge]
Means = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Shown:
    """A strategy on the test split, with 95% intervals; over_random: points right above the coin of the same cost."""

    right_percent: Interval
    usd_per_1k: Interval
    latency_s: Interval
    burden: Interval
    over_random: Interval


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was tried and chosen, and what that does on the test split.

    holds: the share of resamples in which it keeps the bound. constant: the model that is the best constant.
    """

    trials: Sequence[Trial]
    chosen: Trial | None
    questions: int
    test_questions: int = 0
    shown: Mapping[str, Shown] = field(default_factory=dict)
    holds: float = 0.0
    constant: str = ""


def fitted(entries: Sequence[Entry]) -> AnswerJudge:
    """Return the judge that `headrace router calibrate` makes of these answers."""
    models = calibrate(entries)["models"] if entries else {}
    return CalibratedJudge({model: ModelCalibration.read(one) for model, one in models.items()})


def low_confidence(policy: Policy, virtual_model: str) -> LowConfidence:
    """Return what is tuned; ConfigError where the model judges nothing or a record cannot tell what a rule would do."""
    model = policy.virtual_models.get(virtual_model)
    if model is None:
        known = ", ".join(policy.virtual_models)
        raise ConfigError(f"{virtual_model!r} is no virtual model of this config; one of: {known}")
    if model.on_low_confidence is None:
        raise ConfigError(
            f"{virtual_model!r} judges no answers; give it on_low_confidence with probe, max_risk and then"
        )
    for rule in model.select:
        if isinstance(rule.use, BudgetPacing | Experts | Latency):
            raise ConfigError(
                f"{virtual_model!r}, rule {rule.id!r}: a record does not tell what is spent, how busy a tier is or what"
                " a panel says; name a tier in its `use` to tune the rest"
            )
    return model.on_low_confidence


def usable(entries: Sequence[Entry], policy: Policy, *, table: str) -> list[Entry]:
    """Return the questions that ask for no JSON and that every model answered; ConfigError where there are none."""
    answered = {model for entry in entries for model in entry.answers}
    backends = {backend: policy.cards[backend].id for tier in policy.tiers for backend in tier.backend_ids()}
    missing = [f"{backend} ({model})" for backend, model in backends.items() if model not in answered]
    if entries and missing:
        raise ConfigError(
            f"{table}: no answers of {', '.join(missing)}; put questions to these tiers with `headrace router collect`"
            " and `compact`"
        )
    found = [one for one in entries if not one.as_json and set(backends.values()) <= one.answers.keys()]
    if not found:
        raise ConfigError(
            f"{table}: no question that every model of the config answered in one of the splits; add some"
        )
    return found


def with_risk(composer: Composer, max_risk: float) -> Composer:
    """Return the same cascade with another accepted risk."""
    policy, name = composer.policy, composer.virtual_model
    low = replace(low_confidence(policy, name), max_risk=max_risk)
    model = replace(policy.virtual_models[name], on_low_confidence=low)
    return replace(composer, policy=replace(policy, virtual_models={**policy.virtual_models, name: model}))


def cross_fitted(
    composer: Composer, entries: Sequence[Entry], every: Sequence[Entry], risks: Sequence[float], fit: Fit = fitted
) -> dict[float, list[Result]]:
    """Return what the cascade makes of `entries` at each risk, judged by fits on the other folds of `every`."""
    fold = {one.question_id: fold_of(one.question_id.removesuffix("#json")) for one in every}
    judges = [fit([one for one in every if fold[one.question_id] != held]) for held in range(FOLDS)]
    found = {}
    for risk in risks:
        at_risk = with_risk(composer, risk)
        by_fold = [replace(at_risk, judge=judge) for judge in judges]
        found[risk] = [by_fold[fold[one.question_id]].cascade(one) for one in entries]
    return found


def tune(
    served: Composer,
    apart: Composer,
    limit: Limit,
    calibration: Sequence[Entry],
    test: Sequence[Entry],
    *,
    table: str,
) -> Tuned:
    """Choose on the calibration split, then show the choice on the test split.

    apart: as served, but for question-side models that have not learned from the calibration questions. Neither's
    judge is looked at.
    """
    known, asked = (usable(entries, served.policy, table=table) for entries in (calibration, test))
    ends = ladder(served.policy)
    large = Arm.of([single(one, ends[-1]) for one in known])
    arms = {risk: Arm.of(results) for risk, results in cross_fitted(apart, known, calibration, RISKS).items()}
    trials = tried(limit, arms, large, _bootstrap(known))
    chosen = choose(limit, trials)
    if chosen is None:
        return Tuned(trials, None, len(known))
    cascade = replace(with_risk(served, chosen.max_risk), judge=fitted(calibration))
    constant = best_constant(ends, known, chosen.cost)
    strategies = {
        CASCADE: Arm.of([cascade.cascade(one) for one in asked]),
        "always small": Arm.of([single(one, ends[0]) for one in asked]),
        "always large": Arm.of([single(one, ends[-1]) for one in asked]),
        "best constant": Arm.of([single(one, constant) for one in asked]),
        "oracle": Arm.of([oracle(one, ends) for one in asked]),
    }
    bootstrap = _bootstrap(asked)
    burden = bootstrap.means(limit.burden(strategies[CASCADE], strategies["always large"]))
    holds = float((burden[1:] <= limit.bar).mean())
    return Tuned(trials, chosen, len(known), len(asked), shown(limit, strategies, bootstrap), holds, constant.id)


def ladder(policy: Policy) -> list[ModelCard]:
    """Return the default model of every tier, cheapest tier first."""
    return [policy.cards[tier.default] for tier in policy.tiers]


def best_constant(cards: Sequence[ModelCard], entries: Sequence[Entry], budget: float) -> ModelCard:
    """Return the model that is right most often on `entries` within a mean cost, the cheapest where none is within."""
    arms = [(card, Arm.of([single(one, card) for one in entries])) for card in cards]
    within = [(card, arm) for card, arm in arms if arm.cost.mean() <= budget]
    if not within:
        return min(arms, key=lambda one: float(one[1].cost.mean()))[0]
    return max(within, key=lambda one: float(one[1].right.mean()))[0]


def shown(limit: Limit, arms: Mapping[str, Arm], bootstrap: Bootstrap) -> dict[str, Shown]:
    """Return every strategy's figures on the same draws, and the coin between small and large of the cascade's cost."""
    means = {name: _means(limit, arm, arms["always large"], bootstrap) for name, arm in arms.items()}
    small, large = means["always small"], means["always large"]

    def coin(spent: npt.NDArray[np.float64]) -> Means:
        gap = large["cost"] - small["cost"]
        share = np.clip((spent - small["cost"]) / np.where(gap == 0, 1.0, gap), 0.0, 1.0)
        return {figure: (1 - share) * small[figure] + share * large[figure] for figure in small}

    means["random, equal cost"] = coin(means[CASCADE]["cost"])
    return {
        name: Shown(
            right_percent=measured(100 * one["right"]),
            usd_per_1k=measured(one["cost"] / MICROUSD_PER_QUESTION),
            latency_s=measured(one["seconds"]),
            burden=measured(one["burden"]),
            over_random=measured(100 * (one["right"] - coin(one["cost"])["right"])),
        )
        for name, one in means.items()
    }


def _means(limit: Limit, arm: Arm, large: Arm, bootstrap: Bootstrap) -> Means:
    columns = {"right": arm.right, "cost": arm.cost, "seconds": arm.seconds, "burden": limit.burden(arm, large)}
    return {name: bootstrap.means(values) for name, values in columns.items()}


def _bootstrap(entries: Sequence[Entry]) -> Bootstrap:
    return Bootstrap.of(np.arange(len(entries)), resamples=RESAMPLES)
