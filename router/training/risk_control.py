"""Scores recorded answers as the live judge would, without having seen them, and sums up what risk a floor leaves.

The scores are cross-fitted: the curves that score an answer were fitted without its question. So wrong answers are
not scored lower than the live judge would score them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.router.cascade.acceptance import HORIZONS, JSON_DOMAIN, RUNNING, WHOLE, ModelCalibration, features
from headrace.router.training.assemble import domain_of_kind, fold_of
from headrace.router.training.corpus import FOLDS
from headrace.router.training.table import Answer, Entry

Fit = Callable[[Iterable[Entry]], Mapping[str, Mapping[str, Any]]]

UNSCORED: Final = 0.0
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer as the judge sees it. running: the best it reaches while it is streamed; whole: once it is finished.

    The same requests in both modes; 0.0 where there is nothing to judge or the form is broken.
    """

    question_id: str
    kind: str
    model: str
    domain: str
    right: bool
    running: float
    whole: float


def judged_as(entry: Entry) -> str:
    """Return the domain that an entry's answers are judged in."""
    return JSON_DOMAIN if entry.as_json else domain_of_kind(entry.kind)


def cross_fitted(entries: Sequence[Entry], fit: Fit, folds: int = FOLDS) -> list[Scored]:
    """Score every answer with curves fitted without its fold; a question and its JSON twin share one."""
    fold = {entry.question_id: fold_of(entry.question_id.removesuffix("#json")) % folds for entry in entries}
    scored: list[Scored] = []
    for held in range(folds):
        fitted = fit([entry for entry in entries if fold[entry.question_id] != held])
        scored += score([entry for entry in entries if fold[entry.question_id] == held], fitted)
    return scored


def score(entries: Iterable[Entry], fitted: Mapping[str, Mapping[str, Any]]) -> list[Scored]:
    """Score every answer of a model and domain that `fitted` knows."""
    models = {model: ModelCalibration.read(raw) for model, raw in fitted.items()}
    return [
        _scored(entry, model, models[model], answer)
        for entry in entries
        for model, answer in sorted(entry.answers.items())
        if model in models and judged_as(entry) in models[model].base
    ]


def risk_curves(scored: Iterable[Scored]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return model -> mode -> domain -> {"answers", "wrong"}, as a calibration file holds them."""
    groups: dict[tuple[str, str], list[Scored]] = {}
    for one in scored:
        groups.setdefault((one.model, one.domain), []).append(one)
    curves: dict[str, dict[str, dict[str, Any]]] = {}
    for (model, domain), members in sorted(groups.items()):
        by_mode = curves.setdefault(model, {RUNNING: {}, WHOLE: {}})
        by_mode[RUNNING][domain] = _curve(members, [one.running for one in members if not one.right])
        by_mode[WHOLE][domain] = _curve(members, [one.whole for one in members if not one.right])
    return curves


def _curve(members: Sequence[Scored], wrong: Iterable[float]) -> dict[str, Any]:
    """Round upwards, so that rounding never lowers a floor."""
    scale = 10**_DIGITS
    return {"answers": len(members), "wrong": sorted((math.ceil(one * scale) / scale for one in wrong), reverse=True)}


def _scored(entry: Entry, model: str, judge: ModelCalibration, answer: Answer) -> Scored:
    domain = judged_as(entry)
    whole = _whole(judge, domain, answer)
    return Scored(
        question_id=entry.question_id,
        kind=entry.kind,
        model=model,
        domain=domain,
        right=answer.correct,
        running=max(_passed(judge, domain, answer, whole)),
        whole=whole,
    )


def _whole(judge: ModelCalibration, domain: str, answer: Answer) -> float:
    if not answer.evidence or answer.is_valid is False:
        return UNSCORED
    cut = answer.finish_reason == "length"
    return judge.value(WHOLE, features(answer.logprobs, whole=True, cut=cut), domain)


def _passed(judge: ModelCalibration, domain: str, answer: Answer, whole: float) -> list[float]:
    """Return the values at every point where a streamed answer may be kept; a short one is judged whole at its end."""
    logprobs = answer.logprobs
    values = [judge.value(str(end), features(logprobs[:end]), domain) for end in HORIZONS if end <= len(logprobs)]
    return [*values, whole] if len(logprobs) < HORIZONS[-1] else values
