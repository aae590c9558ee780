"""Fits the quality model: extremely randomised trees on the shape of the question, a forest a panel and one over all.

A panel's trees are grown on its gain; every leaf then keeps the share of right answers of every model of the panel,
pulled to the model's mean by a few made-up answers. Deterministic: same data and environment, same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from headrace.router.quality.forest import DEPTH, NODES
from headrace.router.quality.model import BILLION, FAR, LEAST_DECADES, MOST_DECADES, QualityModel, scaled
from headrace.router.quality.structure import NAMES, structure
from headrace.router.training.metrics import Doubles
from headrace.router.training.panels import Panel

TREES: Final = 64
LEAST_LEAF: Final = 15
FEATURE_SHARE: Final = 0.7
MADE_UP_ANSWERS: Final = 2.0
TYPICAL_SLOPE: Final = 0.1  # of right answers a decade of parameters, where no sizes tell
FAMILIAR_QUANTILE: Final = 0.99
SEED: Final = 1
_STEADY: Final = 1e-6
_PAIR: Final = 2

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What goes into an artefact."""

    card: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]

    def model(self) -> QualityModel:
        """Return the model as the serving path sees it."""
        return QualityModel({**self.card, "weights_sha256": "not written"}, self.arrays)


def shapes_of(texts: Sequence[str]) -> Floats:
    """Return the features of every text, one row each."""
    return np.stack([structure(text) for text in texts])


def fit_quality(panels: Sequence[Panel], shapes: Sequence[Floats] | None = None) -> Fitted:
    """Fit every panel and what mixes them; `shapes` are the panels' features where they are at hand."""
    shapes = [shapes_of(panel.texts) for panel in panels] if shapes is None else shapes
    everything = np.concatenate(shapes)
    centre, scale = _scaling(everything)
    arrays: dict[str, npt.NDArray[Any]] = {"centre": centre, "scale": scale}
    forests, about, first_leaf = [], {}, 0
    evens = [scaled(shape, centre, scale) for shape in shapes]
    for panel, shape in zip(panels, shapes, strict=True):
        right = np.where(np.isfinite(panel.right), panel.right, np.nanmean(panel.right, axis=0))
        forest, values = _forest(shape, panel.gain, right, first_leaf)
        forests.append(forest)
        arrays[f"values.{panel.name}"] = values.astype("<f2")
        about[panel.name] = {"models": list(panel.models), "leaves": values.shape[0], "questions": len(panel.texts)}
        first_leaf += values.shape[0]
    pooled, values, gain_of = _pooled(panels, shapes, first_leaf)
    forests.append(pooled)
    arrays["values.pooled"] = values.astype("<f2")
    for name, parts in zip(("features", "thresholds", "leaf_of"), zip(*forests, strict=True), strict=True):
        arrays[name] = np.concatenate(parts)
    slope = _skill(panels, about)
    arrays["gate"] = _gate(evens)
    arrays["panel_centre"] = np.stack([shape.mean(axis=0) for shape in shapes])
    spreads = [np.maximum(shape.std(axis=0), 0.5 / scale) for shape in shapes]
    arrays["panel_scale"] = np.stack([1 / spread for spread in spreads])
    card = {
        "shape": list(NAMES),
        "panels": about,
        "order": list(about),
        "trees_per_panel": TREES,
        "skill": {"slope": round(slope, 5)},
        "pooled": {
            "leaves": values.shape[0],
            **_per_decade(panels, about, slope, gain_of),
        },
        "familiar": {"most_distance": _most_distance(everything, arrays)},
    }
    return Fitted(card, arrays)


def _scaling(shape: Floats) -> tuple[Floats, Floats]:
    spread = shape.std(axis=0)
    return shape.mean(axis=0), (1 / np.where(spread > _STEADY, spread, 1.0)).astype(np.float32)


def _trees(shape: Floats, gain: Doubles, count: int = TREES) -> tuple[Any, Floats]:
    """Return trees grown on the gain, and the plain counts they were grown on: cuts are drawn evenly over those."""
    counts = np.expm1(shape)
    trees = ExtraTreesRegressor(
        count,
        max_depth=DEPTH,
        min_samples_leaf=LEAST_LEAF,
        max_features=FEATURE_SHARE,
        random_state=SEED,
        n_jobs=2,
    )
    return trees.fit(counts, gain), counts


def _forest(
    shape: Floats, gain: Doubles, right: Doubles, first_leaf: int
) -> tuple[tuple[npt.NDArray[Any], ...], Doubles]:
    """Return (features, thresholds, leaf_of), each [trees, ...], and the value of each leaf and column of `right`."""
    trees, counts = _trees(shape, gain)
    mean = right.mean(axis=0)
    parts, values = [], []
    reached = trees.apply(counts)
    for number, one in enumerate(trees.estimators_):
        features, thresholds, ends = _laid_out(one.tree_)
        leaves = np.unique(ends)
        own = np.searchsorted(leaves, reached[:, number])
        rows = np.bincount(own, minlength=leaves.size)[:, None] + MADE_UP_ANSWERS
        sums = np.stack([np.bincount(own, weights=column, minlength=leaves.size) for column in right.T], axis=1)
        values.append((sums + MADE_UP_ANSWERS * mean) / rows)
        parts.append((features, np.log1p(thresholds), (np.searchsorted(leaves, ends) + first_leaf).astype(np.int32)))
        first_leaf += leaves.size
    return tuple(np.stack(rows) for rows in zip(*parts, strict=True)), np.concatenate(values)


def _pooled(
    panels: Sequence[Panel], shapes: Sequence[Floats], first_leaf: int
) -> tuple[tuple[npt.NDArray[Any], ...], Doubles, list[Doubles]]:
    """Fit one forest over all panels: forest, leaf values [leaves, 2] and the out-of-fold gain of every panel's rows.

    The gain is counted in spreads of its panel from its panel's mean, so that no panel's level is learned; beside it
    stands how much likelier than the panel's average a right answer is.
    """
    gain = np.concatenate([(one.gain - one.gain.mean()) / max(one.gain.std(), _STEADY) for one in panels])
    right = [np.nanmean(one.right, axis=1) for one in panels]
    common = np.concatenate([one - one.mean() for one in right])
    shape = np.concatenate(shapes)
    forest, values = _forest(shape, gain, np.stack([gain, common], axis=1), first_leaf)
    fold, unseen = np.concatenate([one.fold for one in panels]) % 2, np.zeros(gain.size)
    for held in (0, 1):
        trees, _ = _trees(shape[fold != held], gain[fold != held], TREES // 4)
        unseen[fold == held] = trees.predict(np.expm1(shape[fold == held]))
    ends = np.cumsum([len(one.texts) for one in panels])[:-1]
    return forest, values, np.split(unseen, ends)


def _per_decade(
    panels: Sequence[Panel], about: dict[str, dict[str, Any]], slope: float, gain_of: Sequence[Doubles]
) -> dict[str, float]:
    """Return how much a decade of skill gains where the forest over all panels says 1, and the average skill."""
    above, aside, everyone = 0.0, 0.0, []
    for panel, gain in zip(panels, gain_of, strict=True):
        right = np.nanmean(panel.right, axis=0)
        decades = np.clip((right - about[panel.name]["skill_at_1b"]) / slope, LEAST_DECADES, MOST_DECADES)
        off = decades - decades.mean()
        centred = np.nan_to_num(panel.right - right)
        above += float(gain @ centred @ off) / off.size
        aside += float(gain @ gain) * float(off @ off) / off.size
        everyone.append(decades)
    return {
        "gain_per_decade": round(max(above / max(aside, _STEADY), 0.0), 5),
        "decades": round(float(np.concatenate(everyone).mean()), 5),
    }


def _laid_out(tree: Any) -> tuple[npt.NDArray[np.uint8], Floats, npt.NDArray[np.int64]]:  # noqa: ANN401  (sklearn has no type for it)
    """Lay one fitted tree out by levels; `ends` names the fitted tree's node at each place of the last level."""
    features = np.zeros(NODES, dtype=np.uint8)
    thresholds = np.full(NODES, np.inf, dtype=np.float32)
    ends = np.zeros(NODES + 1, dtype=np.int64)
    waiting = [(0, 0)]
    while waiting:
        place, node = waiting.pop()
        if place >= NODES:
            ends[place - NODES] = node
            continue
        is_leaf = tree.children_left[node] < 0
        if not is_leaf:
            features[place] = tree.feature[node]
            thresholds[place] = _floor32(tree.threshold[node])
        waiting.append((2 * place + 1, node if is_leaf else tree.children_left[node]))
        waiting.append((2 * place + 2, node if is_leaf else tree.children_right[node]))
    return features, thresholds, ends


def _floor32(threshold: float) -> np.float32:
    """Return the greatest float32 not over the threshold, so that float32 features fall on the side they fell on."""
    near = np.float32(threshold)
    return near if near <= threshold else np.nextafter(near, np.float32(-np.inf))


def _gate(evens: Sequence[Floats]) -> Floats:
    """Fit which panel a question is like; panels weigh the same, whatever their size."""
    labels = np.repeat(np.arange(len(evens)), [part.shape[0] for part in evens])
    if len(evens) == 1:
        return np.zeros((1 + evens[0].shape[1], 1), dtype=np.float32)
    with threadpool_limits(1):  # sums in one order, so that the number of threads changes no byte
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000).fit(np.concatenate(evens), labels)
    gate = np.vstack([model.intercept_[None, :], model.coef_.T])
    return (gate if len(evens) > _PAIR else np.hstack([np.zeros_like(gate), gate])).astype(np.float32)


def _skill(panels: Sequence[Panel], about: dict[str, dict[str, Any]]) -> float:
    """Fit right = start of the panel + slope x log10(parameters in billions); one slope over all panels.

    A panel none of whose models has a known size starts so that its average model is the average of the others.
    """
    above, aside = 0.0, 0.0
    middles = {}
    for panel in panels:
        right = np.nanmean(panel.right, axis=0)
        about[panel.name]["right"] = [round(float(one), 5) for one in right]
        decades = np.array([np.log10(one / BILLION) if one else np.nan for one in panel.parameters])
        has_size = np.isfinite(decades)
        if has_size.any():
            x, y = decades[has_size] - decades[has_size].mean(), right[has_size] - right[has_size].mean()
            above, aside = above + float(x @ y), aside + float(x @ x)
            middles[panel.name] = float(decades[has_size].mean()), float(right[has_size].mean())
    slope = above / aside if above > 0 else TYPICAL_SLOPE
    typical = float(np.mean([decade for decade, _ in middles.values()])) if middles else 0.0
    for panel in panels:
        decade, level = middles.get(panel.name, (typical, float(np.nanmean(panel.right))))
        about[panel.name]["skill_at_1b"] = round(level - slope * decade, 5)
    return slope


def _most_distance(shape: Floats, arrays: dict[str, npt.NDArray[Any]]) -> float:
    """Return the distance to the nearest panel that 99% of the training questions keep within."""
    nearest = np.full(shape.shape[0], np.inf)
    for centre, scale in zip(arrays["panel_centre"], arrays["panel_scale"], strict=True):
        away = np.minimum(np.abs((shape - centre) * scale), FAR)
        nearest = np.minimum(nearest, (away**2).mean(axis=1))
    return round(float(np.quantile(nearest, FAMILIAR_QUANTILE)), 5)
