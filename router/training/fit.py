"""Fits the difficulty model: ridge on the gain and on the domains, an isotonic curve, a list of known words.

Everything is deterministic: same data and environment, same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

from headrace.router.difficulty.model import known_share, unpacked
from headrace.router.difficulty.ngrams import KNOWN_BITS, U64, known_bits
from headrace.router.training.corpus import FOLDS, Example
from headrace.router.training.design import Design, Doubles, Floats, Rows, Scaling
from headrace.router.training.roles import DOMAINS

ALPHA: Final = 8.0
DOMAIN_ALPHA: Final = 2.0
MOST_DOMAIN_WEIGHT: Final = 20.0
LEAST_TEXTS_OF_A_KNOWN_WORD: Final = 2
UNFAMILIAR_QUANTILE: Final = 0.01
CURVE_POINTS: Final = 24

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Linear:
    """A fitted linear part: weights of words+counts (one column an output), of characters (gain only), intercepts."""

    scaling: Scaling
    shared: Floats
    chars: Floats
    intercepts: Floats

    def gain(self, design: Design) -> Doubles:
        """Return the raw gain score of every text."""
        shared = self.scaling.words_and_counts(design) @ self.shared[:, 0]
        return np.asarray(shared + self.scaling.chars(design) @ self.chars + self.intercepts[0], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What goes into an artefact: the arrays, and the part of the card that fitting knows."""

    arrays: Mapping[str, npt.NDArray[Any]]
    card: Mapping[str, Any]


def fit_gain(design: Design, gain: Doubles, weight: Doubles, alpha: float = ALPHA) -> Linear:
    """Fit the gain output alone (what evaluation needs)."""
    scaling = Scaling.fit(design)
    words = scaling.words_and_counts(design)
    both = sparse.csr_array(sparse.hstack([words, scaling.chars(design)]))
    coefficients, intercept = _ridge(both, gain, weight, alpha)
    split = words.shape[1]
    return Linear(scaling, coefficients[:split, None], coefficients[split:], np.array([intercept], dtype=np.float32))


def fit_model(examples: Sequence[Example]) -> Fitted:
    """Fit everything on `examples`; those without a gain teach domains and words only."""
    design = Design.of([one.text for one in examples])
    fold = np.array([one.fold for one in examples])
    judged = np.array([one.gain is not None for one in examples])
    gain = np.array([one.gain or 0.0 for one in examples])
    weight = np.array([one.weight for one in examples])
    labels = np.array([DOMAINS.index(one.domain) for one in examples])
    score, shares = np.zeros(len(examples)), np.zeros(len(examples))
    for held in range(FOLDS):
        train, test = np.flatnonzero((fold != held) & judged), np.flatnonzero(fold == held)
        part = design.rows(test)
        score[test] = fit_gain(design.rows(train), gain[train], weight[train]).gain(part)
        known = unpacked(_known_words(design.rows(np.flatnonzero(fold != held)).word_hashes))
        shares[test] = [known_share(hashes, known) for hashes in part.word_hashes]
    curve = _calibrate(score[judged], gain[judged], weight[judged])
    linear = _fit_all(design, gain, weight, judged, labels)
    base_rate = float(np.average(gain[judged], weights=weight[judged]))
    held_out = {
        "domain_accuracy": _rounded(_domain_accuracy(design, labels, fold)),
        "brier": _rounded(_brier(score[judged], gain[judged], weight[judged], curve)),
        "brier_of_base_rate": _rounded(float(np.average((gain[judged] - base_rate) ** 2, weights=weight[judged]))),
        "expected_calibration_error": _rounded(_calibration_error(score[judged], gain[judged], weight[judged], curve)),
    }
    card = {
        "domains": list(DOMAINS),
        "base_rate": _rounded(base_rate),
        "calibration": curve,
        "unfamiliar": {"least_known_share": _rounded(float(np.quantile(shares, UNFAMILIAR_QUANTILE)))},
        "held_out": held_out,
        "alpha": ALPHA,
    }
    return Fitted(_arrays(linear, _known_words(design.word_hashes)), card)


def _fit_all(design: Design, gain: Doubles, weight: Doubles, judged: npt.NDArray[np.bool_], labels: Rows) -> Linear:
    with_gain = np.flatnonzero(judged)
    scaling = Scaling.fit(design)
    words = scaling.words_and_counts(design)
    both = sparse.csr_array(sparse.hstack([words, scaling.chars(design)]))[with_gain]
    coefficients, intercept = _ridge(both, gain[with_gain], weight[with_gain], ALPHA)
    split = words.shape[1]
    columns, intercepts = _fit_domains(words, labels)
    return Linear(
        scaling,
        np.concatenate((coefficients[:split, None], columns), axis=1),
        coefficients[split:],
        np.concatenate(([intercept], intercepts)).astype(np.float32),
    )


def _fit_domains(words: sparse.csr_array, labels: Rows) -> tuple[Floats, Floats]:
    """Return one column of weights and one intercept a domain; rare domains weigh as much as common ones."""
    share = np.bincount(labels, minlength=len(DOMAINS)) / labels.size
    balance = np.minimum(1.0 / np.maximum(share[labels] * len(DOMAINS), 1e-3), MOST_DOMAIN_WEIGHT)
    fits = [_ridge(words, (labels == one).astype(np.float64), balance, DOMAIN_ALPHA) for one in range(len(DOMAINS))]
    return np.stack([one for one, _ in fits], axis=1), np.array([start for _, start in fits], dtype=np.float32)


def _domain_accuracy(design: Design, labels: Rows, fold: Rows) -> float:
    """Return the share of right domains on the last fold, from a fit on the others."""
    train, test = np.flatnonzero(fold != FOLDS - 1), np.flatnonzero(fold == FOLDS - 1)
    scaling = Scaling.fit(design.rows(train))
    columns, intercepts = _fit_domains(scaling.words_and_counts(design.rows(train)), labels[train])
    scores = scaling.words_and_counts(design.rows(test)) @ columns + intercepts
    return float((scores.argmax(axis=1) == labels[test]).mean())


def _ridge(table: sparse.csr_array, target: Doubles, weight: Doubles, alpha: float) -> tuple[Floats, float]:
    model = Ridge(alpha=alpha, solver="sparse_cg", tol=1e-3)
    model.fit(table, target, sample_weight=weight)
    return model.coef_.astype(np.float32), float(model.intercept_)


def _known_words(texts: Sequence[U64]) -> Bytes:
    table = np.zeros(1 << KNOWN_BITS, dtype=np.int32)
    for hashes in texts:
        table[np.unique(known_bits(hashes))] += 1
    return np.packbits(table >= LEAST_TEXTS_OF_A_KNOWN_WORD, bitorder="little")


def _calibrate(score: Doubles, gain: Doubles, weight: Doubles) -> dict[str, list[float]]:
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(score, gain, weight)
    points = np.quantile(score, np.linspace(0.005, 0.995, CURVE_POINTS))
    values = isotonic.predict(points)
    return {"scores": [_rounded(float(one)) for one in points], "values": [_rounded(float(one)) for one in values]}


def _predicted(score: Doubles, curve: Mapping[str, Sequence[float]]) -> Doubles:
    return np.interp(score, curve["scores"], curve["values"])


def _brier(score: Doubles, gain: Doubles, weight: Doubles, curve: Mapping[str, Sequence[float]]) -> float:
    return float(np.average((_predicted(score, curve) - gain) ** 2, weights=weight))


def _calibration_error(score: Doubles, gain: Doubles, weight: Doubles, curve: Mapping[str, Sequence[float]]) -> float:
    value = _predicted(score, curve)
    bins = np.minimum((value * 10).astype(int), 9)
    total = 0.0
    for one in np.unique(bins):
        inside = bins == one
        gap = np.average(value[inside], weights=weight[inside]) - np.average(gain[inside], weights=weight[inside])
        total += abs(float(gap)) * float(weight[inside].sum() / weight.sum())
    return total


def _arrays(linear: Linear, known: Bytes) -> dict[str, npt.NDArray[Any]]:
    """Fold scaling and intercepts into the tables that the serving path reads (the bias is a constant count)."""
    words = linear.scaling.idf_words.size
    count_weights = linear.shared[words:] * linear.scaling.count_scale[:, None]
    count_weights[0] = linear.intercepts - linear.scaling.count_mean @ count_weights
    return {
        "idf_words": linear.scaling.idf_words.astype("<f2"),
        "idf_chars": linear.scaling.idf_chars.astype("<f2"),
        "word_weights": linear.shared[:words].astype("<f2"),
        "char_weights": linear.chars.astype("<f2"),
        "count_weights": count_weights.astype("<f4"),
        "known_words": known,
    }


def _rounded(value: float) -> float:
    return round(value, 5)
