"""Fits the answer judge on graded answers: a logistic curve a model and horizon, a level a domain.

Slopes are shared by a model's domains and fitted inside them (each domain has its own intercept), so that a domain
where everything is right cannot make confidence look good elsewhere. Each level leans on two made-up answers, one
right and one wrong, so that no domain is ever certain. JSON answers get curves of their own. Beside the curves stand
the scores of wrong answers, cross-fitted, from which an accepted risk becomes a floor.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from headrace.router.cascade.acceptance import (
    FEATURES,
    FORMAT,
    FORMAT_VERSION,
    HORIZONS,
    JSON_DOMAIN,
    WHOLE,
    features,
    fingerprint,
)
from headrace.router.training.risk_control import cross_fitted, judged_as, risk_curves
from headrace.router.training.table import Answer, Entry

Doubles = npt.NDArray[np.float64]

LEAST_ANSWERS: Final = 8
SLOPE_PENALTY: Final = 8.0
MADE_UP_ANSWERS: Final = 1.0
_NEWTON_STEPS: Final = 60
_CONVERGED: Final = 1e-9
_CONSTANT: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer with the domain it counts for."""

    domain: str
    answer: Answer


def calibrate(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the content of a calibration file for every model of the table."""
    models = fit(entries)
    for model, risk in risk_curves(cross_fitted(entries, fit)).items():
        models[model]["risk"] = risk
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "questions": len(entries),
        "features": list(FEATURES),
        "models": models,
        "models_sha256": fingerprint(models),
    }


def fit(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Fit every model's curves: model -> its part of a calibration file, without the risk."""
    by_model: dict[str, list[Graded]] = {}
    for entry in entries:
        for model, answer in entry.answers.items():
            by_model.setdefault(model, []).append(Graded(judged_as(entry), answer))
    return {model: _model(graded) for model, graded in sorted(by_model.items())}


def write_calibration(path: Path, content: Mapping[str, Any]) -> None:
    """Write a calibration file; the same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _model(graded: Sequence[Graded]) -> dict[str, Any]:
    sizes = {domain: sum(one.domain == domain for one in graded) for domain in {one.domain for one in graded}}
    kept = [one for one in graded if sizes[one.domain] >= LEAST_ANSWERS]
    domains = sorted({one.domain for one in kept})
    base = {domain: _share([one for one in kept if one.domain == domain]) for domain in domains}
    counts = {domain: {"answers": sizes[domain], "right": _right(kept, domain)} for domain in domains}
    curves = {}
    for horizon in (*map(str, HORIZONS), WHOLE):
        plain = _curve([one for one in kept if one.domain != JSON_DOMAIN], horizon, base)
        formed = _curve([one for one in kept if one.domain == JSON_DOMAIN], horizon, base)
        curves[horizon] = {"slopes": plain["slopes"], "levels": plain["levels"]}
        if JSON_DOMAIN in base:
            curves[f"{JSON_DOMAIN}:{horizon}"] = formed
    return {"base": base, "counts": counts, "curves": curves}


def _curve(graded: Sequence[Graded], horizon: str, base: Mapping[str, float]) -> dict[str, Any]:
    """Fit one curve on the answers that reach the horizon."""
    size = None if horizon == WHOLE else int(horizon)
    used = [one for one in graded if one.answer.evidence and (size is None or len(one.answer.evidence) >= size)]
    domains = sorted({one.domain for one in graded})
    table = np.zeros((len(used), len(FEATURES)))
    for row, one in enumerate(used):
        logprobs = one.answer.logprobs
        is_cut = one.answer.finish_reason == "length"
        table[row] = features(logprobs, whole=True, cut=is_cut) if size is None else features(logprobs[:size])
    right = np.array([float(one.answer.correct) for one in used])
    member = np.array([domains.index(one.domain) for one in used], dtype=np.int64)
    slopes, levels = logistic(table, right, member, [base[domain] for domain in domains])
    return {
        "slopes": [round(float(one), 4) for one in slopes],
        "levels": {domain: round(float(level), 4) for domain, level in zip(domains, levels, strict=True)},
    }


def logistic(
    table: Doubles, right: Doubles, member: npt.NDArray[np.int64], base: Sequence[float]
) -> tuple[Doubles, Doubles]:
    """Penalised logistic regression by Newton steps: slopes pulled to 0, each level to its domain's own rate."""
    rows, width = table.shape
    spread = np.maximum(table.std(axis=0), 1e-6) if rows else np.ones(width)
    mean = table.mean(axis=0) if rows else np.zeros(width)
    varies = spread > _CONSTANT
    scaled = np.where(varies, (table - mean) / spread, 0.0)
    domains = len(base)
    design = np.hstack([scaled, np.eye(domains)[member]]) if rows else np.zeros((0, width + domains))
    rates = np.array(base)
    made_up = np.hstack([np.zeros((domains, width)), np.eye(domains)])
    weights = np.zeros(width + domains)
    penalty = np.diag([SLOPE_PENALTY] * width + [1e-6] * domains)
    for _ in range(_NEWTON_STEPS):
        chance, invented = _sigmoid(design @ weights), _sigmoid(made_up @ weights)
        gradient = design.T @ (right - chance) - penalty @ weights
        gradient += 2 * MADE_UP_ANSWERS * made_up.T @ (rates - invented)
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + penalty
        curvature += 2 * MADE_UP_ANSWERS * made_up.T @ (made_up * (invented * (1 - invented))[:, None])
        step = np.linalg.solve(curvature, gradient)
        weights += np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < _CONVERGED:
            break
    slopes = np.where(varies, weights[:width] / spread, 0.0)
    return slopes, weights[width:] - slopes @ mean


def _share(graded: Sequence[Graded]) -> float:
    """Return the share of right answers, with one made-up right and one made-up wrong answer."""
    return round((sum(one.answer.correct for one in graded) + 1) / (len(graded) + 2), 4)


def _right(graded: Sequence[Graded], domain: str) -> int:
    return sum(one.answer.correct for one in graded if one.domain == domain)


def _sigmoid(value: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(value, -60.0, 60.0))))
