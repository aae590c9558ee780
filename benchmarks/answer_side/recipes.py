"""Recipes that turn a recorded answer into P(right), fitted on some questions and asked about others. All cross-fitted.

Each recipe is fitted a model and a domain (or pooled, as the warning); none reads the answer's correctness when asked.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.router.cascade.acceptance import features
from headrace.router.training.answer_metrics import Doubles
from headrace.router.training.assemble import fold_of
from headrace.router.training.calibrate import fit, logistic
from headrace.router.training.corpus import FOLDS
from headrace.router.training.risk_control import judged_as, score
from headrace.router.training.table import HUNDREDTHS, Answer, Entry

PRESENT: Final = "logistic, levels by domain (shipped)"
LEAST_ISOTONIC: Final = 30


@dataclass(frozen=True, slots=True)
class Case:
    """One model's answer to one question."""

    entry: Entry
    model: str

    @property
    def answer(self) -> Answer:
        """Return the answer."""
        return self.entry.answers[self.model]

    @property
    def domain(self) -> str:
        """Return the domain it is judged in."""
        return judged_as(self.entry)


Recipe = Callable[[Sequence[Case], Sequence[Case]], Doubles]


def cases(entries: Iterable[Entry], model: str) -> list[Case]:
    """Return every answer of a model."""
    return [Case(entry, model) for entry in entries if model in entry.answers]


def right(chosen: Sequence[Case]) -> Doubles:
    """Return 1.0 for a right answer, else 0.0."""
    return np.array([float(case.answer.correct) for case in chosen])


def cross_fitted(recipe: Recipe, known: Sequence[Case], folds: int = FOLDS) -> Doubles:
    """Return the recipe's P(right) of every case, fitted without the case's fold; JSON twins share a fold."""
    fold = np.array([fold_of(case.entry.question_id.removesuffix("#json")) % folds for case in known])
    chance = np.empty(len(known))
    for held in range(folds):
        inside = [case for case, one in zip(known, fold, strict=True) if one != held]
        outside = [case for case, one in zip(known, fold, strict=True) if one == held]
        chance[fold == held] = recipe(inside, outside)
    return chance


def base_rate(known: Sequence[Case], asked: Sequence[Case]) -> Doubles:
    """Return the share right of the domain: what a judge knows without looking at the answer."""
    overall = float(right(known).mean())
    rates = {domain: (float(right(them).sum()) + 1) / (len(them) + 2) for domain, them in _by_domain(known).items()}
    return np.array([rates.get(case.domain, overall) for case in asked])


def raw(known: Sequence[Case], asked: Sequence[Case]) -> Doubles:
    """Return exp(mean log-probability): the model's own confidence, not calibrated."""
    del known
    return np.array([np.exp(_mean(case)) for case in asked])


def pooled(known: Sequence[Case], asked: Sequence[Case]) -> Doubles:
    """Return one logistic curve over all domains: what happens when domains are not told apart."""
    member = np.zeros(len(known), dtype=np.int64)
    slopes, levels = logistic(_table(known), right(known), member, [float(right(known).mean())])
    return _sigmoid(_table(asked) @ slopes + levels[0])


def present(known: Sequence[Case], asked: Sequence[Case]) -> Doubles:
    """Return what the shipped judge says of the whole answer."""
    fitted = fit([case.entry for case in known])
    model = asked[0].model if asked else ""
    scored = {one.question_id: one.whole for one in score([case.entry for case in asked], fitted) if one.model == model}
    rates = base_rate(known, asked)
    return np.array([scored.get(case.entry.question_id, rate) for case, rate in zip(asked, rates, strict=True)])


def with_doubts(known: Sequence[Case], asked: Sequence[Case]) -> Doubles:
    """Return the shipped recipe with entropy and top-1 margin among its features."""
    return _levelled(known, asked, lambda chosen: np.hstack([_table(chosen), _doubts(chosen)]))


def isotonic(known: Sequence[Case], asked: Sequence[Case]) -> Doubles:
    """Return a rising step function of the mean log-probability, a model and domain; the base rate where few."""
    chance = base_rate(known, asked)
    groups = _by_domain(known)
    for row, case in enumerate(asked):
        members = groups.get(case.domain, [])
        if len(members) >= LEAST_ISOTONIC:
            levels, values = rising(np.array([_mean(one) for one in members]), right(members))
            chance[row] = np.interp(_mean(case), levels, values)
    return chance


def rising(score_of: Doubles, is_right: Doubles) -> tuple[Doubles, Doubles]:
    """Return the isotonic fit by pooling neighbours that fall: scores in order and their fitted values."""
    order = np.argsort(score_of, kind="stable")
    blocks: list[tuple[float, int]] = []
    for value in is_right[order]:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (after, many), (before, few) = blocks.pop(), blocks.pop()
            blocks.append(((before * few + after * many) / (few + many), few + many))
    return score_of[order], np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])


RECIPES: Final[dict[str, Recipe]] = {
    "share right of the domain (trivial)": base_rate,
    "exp(mean log-probability), not calibrated": raw,
    "one curve over all domains": pooled,
    PRESENT: present,
    "shipped, with entropy and margin": with_doubts,
    "isotonic by domain on mean log-probability": isotonic,
}


def _levelled(known: Sequence[Case], asked: Sequence[Case], table: Callable[[Sequence[Case]], Doubles]) -> Doubles:
    """Fit shared slopes and a level a domain, JSON apart, as the shipped recipe does."""
    chance = base_rate(known, asked)
    for is_json in (False, True):
        mine = [case for case in known if case.entry.as_json == is_json]
        rows = [row for row, case in enumerate(asked) if case.entry.as_json == is_json]
        domains = sorted(_by_domain(mine))
        rows = [row for row in rows if asked[row].domain in domains]
        if not mine or not rows:
            continue
        rates = [(float(right(them).sum()) + 1) / (len(them) + 2) for _, them in sorted(_by_domain(mine).items())]
        member = np.array([domains.index(case.domain) for case in mine], dtype=np.int64)
        slopes, levels = logistic(table(mine), right(mine), member, rates)
        chosen = [asked[row] for row in rows]
        level = levels[[domains.index(case.domain) for case in chosen]]
        chance[rows] = _sigmoid(table(chosen) @ slopes + level)
    return chance


def _by_domain(chosen: Sequence[Case]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in chosen:
        groups.setdefault(case.domain, []).append(case)
    return groups


def _table(chosen: Sequence[Case]) -> Doubles:
    return np.array([_features(case.answer) for case in chosen])


def _features(answer: Answer) -> tuple[float, ...]:
    return features(answer.logprobs or [-6.0], whole=True, cut=answer.finish_reason == "length")


def _doubts(chosen: Sequence[Case]) -> npt.NDArray[np.float64]:
    last = [case.answer.doubts[-1] if case.answer.doubts else None for case in chosen]
    return (
        np.array(
            [
                (one.mean_entropy, one.most_entropy, one.mean_margin, one.least_margin) if one else (0, 0, 0, 0)
                for one in last
            ]
        )
        / HUNDREDTHS
    )


def _mean(case: Case) -> float:
    logprobs = case.answer.logprobs
    return sum(logprobs) / len(logprobs) if logprobs else -6.0


def _sigmoid(value: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(value, -60.0, 60.0))))
