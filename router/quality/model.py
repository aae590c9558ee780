"""Predicted quality of any number of models for one question: panels of recorded models, mixed by likeness.

A panel is a set of questions that the same models answered. It holds a forest with one value a model in each leaf, so
the difference of two models is fitted as such (the gain, not "the weak one is wrong"). How like a panel's questions
the new one is decides the panel's say; it has a say only if it met two of the candidates (or the only one), for a level
of one panel and a level of another are no difference of models. The rest is said by one forest over the questions of
all panels, which knows how much a more skilled model gains on a question, whoever it is. Skill is counted in decades
of parameters: a model's share of right answers is linear in their logarithm.

numpy only. Safe to share between tasks and threads: nothing is written after construction.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.artefact import read_artefact
from headrace.router.quality.forest import DEPTH, NODES, Forest
from headrace.router.quality.structure import NAMES, structure

FORMAT: Final = "headrace-quality"
PACKAGED: Final = Path(__file__).with_name("artefacts") / "default"

POOLED_TRUST: Final = 0.3  # the say of the forest over all panels, against a panel that met the models
LEAST_DECADES: Final = -2.0
MOST_DECADES: Final = 3.0
LEAST_QUALITY: Final = 0.01
MOST_SPREAD: Final = 3.0
FAR: Final = 6.0
BILLION: Final = 1e9

_SIZE: Final = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model whose quality is wanted: name (organisation before a slash ignored) and parameters, 0 if unknown."""

    name: str
    parameters: int = 0


class Predicted(msgspec.Struct, frozen=True):
    """quality: by candidate, about 0..1; likeness: by panel, together 1; is_familiar: not unlike them all."""

    quality: Floats
    likeness: Floats
    is_familiar: bool


class QualityModel:
    """The arrays and card of one artefact."""

    def __init__(self, card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        _check(card, arrays)
        self.card = card
        self.sha256: str = card["weights_sha256"]
        self.panels: tuple[str, ...] = tuple(card["order"])
        self._arrays = arrays
        self.offsets = _offsets(card, arrays)

    def knows(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the panels that met the candidate."""
        return tuple(name for name in self.panels if plain(candidate.name) in self._columns(name))

    def bind(self, candidates: Sequence[Candidate]) -> "Predictor":
        """Return what predicts for these candidates, in this order."""
        return Predictor(self, candidates)

    def values(self, panel: str, candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
        """Return one panel's leaf values [leaves, n], 0 for whom it never met, and whom it met [n], 1 or 0."""
        known, values = self._columns(panel), self._arrays[f"values.{panel}"]
        places = [known.get(plain(one.name)) for one in candidates]
        met = np.array([place is not None for place in places], dtype=np.float32)
        return values[:, [place or 0 for place in places]].astype(np.float32) * met, met

    def pooled(self, candidates: Sequence[Candidate]) -> tuple[Floats, Floats]:
        """Return the leaf values [leaves, n] of the forest over all panels, and each panel's levels [panels, n]."""
        about, slope = self.card["panels"], self.card["skill"]["slope"]
        decades = np.array([self.decades(one) for one in candidates])
        gain, common = self._arrays["values.pooled"].astype(np.float64).T
        middle = self.card["pooled"]["decades"]
        values = common[:, None] + gain[:, None] * (decades - middle) * self.card["pooled"]["gain_per_decade"]
        levels = np.array([about[panel]["skill_at_1b"] for panel in self.panels])[:, None] + slope * decades
        return values.astype(np.float32), levels.astype(np.float32)

    def decades(self, candidate: Candidate) -> float:
        """Return a model's skill as log10 of billions of parameters: by its record, else by its size, else average."""
        slope = self.card["skill"]["slope"]
        found = []
        for panel in self.panels:
            place, about = self._columns(panel).get(plain(candidate.name)), self.card["panels"][panel]
            if place is not None:
                found.append((about["right"][place] - about["skill_at_1b"]) / slope)
        if found:
            return float(min(max(sum(found) / len(found), LEAST_DECADES), MOST_DECADES))
        if candidate.parameters > 0:
            return min(max(math.log10(candidate.parameters / BILLION), LEAST_DECADES), MOST_DECADES)
        return float(self.card["pooled"]["decades"])

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return one array of the artefact."""
        return self._arrays[name]

    def _columns(self, panel: str) -> Mapping[str, int]:
        return {plain(name): place for place, name in enumerate(self.card["panels"][panel]["models"])}


class Predictor:
    """Predicts for fixed candidates. Construction takes milliseconds a candidate, prediction some tenths of one."""

    def __init__(self, model: QualityModel, candidates: Sequence[Candidate]) -> None:
        self.candidates = tuple(candidates)
        self.panels = model.panels
        parts = [model.values(panel, candidates) for panel in model.panels]
        pooled, self._levels = model.pooled(candidates)
        self._values = np.concatenate([*(values for values, _ in parts), pooled])
        met = np.stack([met for _, met in parts])
        self._has_say = met * (met.sum(axis=1, keepdims=True) >= min(2, len(candidates)))  # [panels, n]
        forests = len(parts) + 1
        self._trees_per_forest = model.array("features").shape[0] // forests
        # The first tree of every forest, the second of every forest ...: so they are summed row by row.
        order = np.arange(self._trees_per_forest * forests).reshape(forests, -1).ravel(order="F")
        self._forest = Forest(*(model.array(name)[order] for name in ("features", "thresholds", "leaf_of")))
        self._centre, self._scale = model.array("centre"), model.array("scale")
        gate = model.array("gate")
        self._gate_level, self._gate = gate[0], gate[1:]
        self._panel_centre, self._panel_scale = model.array("panel_centre"), model.array("panel_scale")
        self._most_distance: float = model.card["familiar"]["most_distance"]

    def predict(self, text: str) -> Predicted:
        """Predict from the text of the question."""
        return self.of_shape(structure(text))

    def of_shape(self, shape: Floats) -> Predicted:
        """Predict from the shape of the question."""
        even = scaled(shape, self._centre, self._scale)
        likeness = self._likeness(even)
        say = likeness[:, None] * self._has_say
        said = np.add.reduce(say)
        rest = POOLED_TRUST * (1 - said)
        found = self._by_forest(shape)
        pooled = found[-1] + likeness @ self._levels
        quality = (np.add.reduce(say * found[:-1]) + rest * pooled) / (said + rest)
        return Predicted(quality, likeness, self.distance(shape) <= self._most_distance)

    def distance(self, shape: Floats) -> float:
        """Return how far the shape is from the nearest panel: mean squared deviations, each at most 6 of its own."""
        away = np.abs((shape - self._panel_centre) * self._panel_scale)
        near = np.minimum(away, FAR)
        return float(np.minimum.reduce(np.add.reduce(near * near, axis=1)) / shape.size)

    def _likeness(self, even: Floats) -> Floats:
        scores = self._gate_level + even @ self._gate
        chances = np.exp(scores - np.maximum.reduce(scores))
        return np.asarray(chances / np.add.reduce(chances), dtype=np.float32)

    def _by_forest(self, shape: Floats) -> Floats:
        found = self._values.take(self._forest.leaf_numbers(shape), axis=0)
        sums = np.add.reduce(found.reshape(self._trees_per_forest, -1)).reshape(-1, len(self.candidates))
        return np.asarray(sums / self._trees_per_forest, dtype=np.float32)


def scaled(shape: Floats, centre: Floats, scale: Floats) -> Floats:
    """Return features (one question's, or a row each) as deviations from the centre, at most 3 spreads of them."""
    return np.asarray(((shape - centre) * scale).clip(-MOST_SPREAD, MOST_SPREAD), dtype=np.float32)


def size_in(name: str) -> int:
    """Return the parameters that a model's name tells ("llama-3.1-8b", "mixtral-8x7b"), 0 if it tells none."""
    found = _SIZE.search(name)
    return 0 if found is None else int(float(found[2]) * int(found[1] or 1) * BILLION)


def plain(name: str) -> str:
    """Return a model's name as it is compared: lower case, without organisation and without a precision suffix."""
    return name.rsplit("/", 1)[-1].lower().removesuffix("-int8").removesuffix("-bf16")


def load(path: Path | None = None) -> QualityModel:
    """Load the artefact in folder `path`, or the packaged one; ConfigError when it is missing, altered or foreign."""
    folder = path or PACKAGED
    card, arrays = read_artefact(folder, FORMAT)
    try:
        return QualityModel(card, arrays)
    except ConfigError as exc:
        raise ConfigError(f"{folder}: {exc}; run `headrace router train --model quality`") from exc


def _offsets(card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, Mapping[str, float]]:
    """Return plain model name -> domain -> what feedback taught to add to the logit of its quality; mostly empty."""
    if "offsets" not in arrays:
        return {}
    taught = card["feedback"]
    rows = [dict(zip(taught["domains"], row, strict=True)) for row in arrays["offsets"].tolist()]
    return {plain(name): row for name, row in zip(taught["models"], rows, strict=True)}


def _check(card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    missing = [key for key in ("panels", "order", "skill", "pooled", "familiar", "weights_sha256") if key not in card]
    if missing:
        raise ConfigError(f"quality card without {', '.join(missing)}")
    if tuple(card.get("shape", ())) != NAMES:
        raise ConfigError("the quality artefact was trained on other features")
    if sorted(card["order"]) != sorted(card["panels"]):
        raise ConfigError(f"quality card: order {card['order']} does not name its panels, {sorted(card['panels'])}")
    panels, width = len(card["panels"]), len(NAMES)
    trees = (panels + 1) * card.get("trees_per_panel", 0)
    shapes = {
        "features": (trees, NODES),
        "thresholds": (trees, NODES),
        "leaf_of": (trees, 1 << DEPTH),
        "centre": (width,),
        "scale": (width,),
        "gate": (1 + width, panels),
        "panel_centre": (panels, width),
        "panel_scale": (panels, width),
        "values.pooled": (card["pooled"]["leaves"], 2),
    }
    if "offsets" in arrays:
        taught = card.get("feedback", {})
        shapes["offsets"] = (len(taught.get("models", ())), len(taught.get("domains", ())))
    for name, about in card["panels"].items():
        shapes[f"values.{name}"] = (about["leaves"], len(about["models"]))
    for name, shape in shapes.items():
        found = arrays[name].shape if name in arrays else None
        if found != shape:
            raise ConfigError(f"quality weights: {name} is {found}, not {shape}")
