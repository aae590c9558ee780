"""Predicted quality of any number of models for one question: panels of recorded models, mixed by likeness.

A panel is a set of questions that the same models answered. It holds a forest and a linear fit, each with one value a
model, so the difference of two models is fitted as such (the gain, not "the weak one is wrong"). How like a panel's
questions the new one is decides the panel's say. A model that a panel does not know borrows from the panel's models
of like skill: skill is the share of right answers, and that is linear in the logarithm of the parameters.

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

FOREST_SHARE: Final = 2 / 3
STRANGER_TRUST: Final = 0.05  # the say of a panel that never met the model, against one that did
SKILL_BANDWIDTH: Final = 0.3  # decades of parameters
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

    def columns(self, panel: str, candidates: Sequence[Candidate]) -> tuple[Floats, Floats, Floats]:
        """Return one panel's leaf values [leaves, n], linear weights [1 + features, n] and trust [n] for candidates."""
        values, linear = self._arrays[f"values.{panel}"], self._arrays[f"linear.{panel}"]
        mixes, shifts, trust = [], [], []
        known = self._columns(panel)
        for one in candidates:
            mix = np.zeros(values.shape[1], dtype=np.float32)
            shift = 0.0
            place = known.get(plain(one.name))
            if place is not None:
                mix[place] = 1.0
            else:
                mix, shift = self._like_skill(panel, one.parameters)
            mixes.append(mix)
            shifts.append(shift)
            trust.append(1.0 if place is not None else STRANGER_TRUST)
        weights = np.stack(mixes, axis=1)
        moved = np.array(shifts, dtype=np.float32)
        sloped = linear.astype(np.float32) @ weights
        sloped[0] += moved
        return values.astype(np.float32) @ weights + moved, sloped, np.array(trust, dtype=np.float32)

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return one array of the artefact."""
        return self._arrays[name]

    def _columns(self, panel: str) -> Mapping[str, int]:
        return {plain(name): place for place, name in enumerate(self.card["panels"][panel]["models"])}

    def _like_skill(self, panel: str, parameters: int) -> tuple[Floats, float]:
        """Return how much of each of the panel's models a stranger is made of, and what its level is off by."""
        about = self.card["panels"][panel]
        right = np.array(about["right"], dtype=np.float64)
        slope, start = self.card["skill"]["slope"], about["skill_at_1b"]
        level = start + slope * math.log10(parameters / BILLION) if parameters > 0 else float(right.mean())
        level = min(max(level, about["least_right"]), 1.0 - LEAST_QUALITY)
        distance = (right - level) / (slope * SKILL_BANDWIDTH)
        nearness = np.exp(-0.5 * (distance**2 - (distance**2).min()))
        mix = nearness / nearness.sum()
        return mix.astype(np.float32), float(level - mix @ right)


class Predictor:
    """Predicts for fixed candidates. Construction takes milliseconds a candidate, prediction some tenths of one."""

    def __init__(self, model: QualityModel, candidates: Sequence[Candidate]) -> None:
        self.candidates = tuple(candidates)
        self.panels = model.panels
        parts = [model.columns(panel, candidates) for panel in model.panels]
        self._values = np.concatenate([values for values, _, _ in parts])
        linear = np.concatenate([linear for _, linear, _ in parts], axis=1)  # [1 + features, panels x candidates]
        self._level, self._linear = linear[0], linear[1:]
        self._trust = np.stack([trust for _, _, trust in parts])
        self._trees_per_panel = model.array("features").shape[0] // len(parts)
        # The first tree of every panel, the second of every panel ...: so they are summed row by row.
        order = np.arange(self._trees_per_panel * len(parts)).reshape(len(parts), -1).ravel(order="F")
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
        trusted = likeness[:, None] * self._trust
        quality = np.add.reduce(trusted * self._by_panel(shape, even)) / np.add.reduce(trusted)
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

    def _by_panel(self, shape: Floats, even: Floats) -> Floats:
        found = self._values.take(self._forest.leaf_numbers(shape), axis=0)
        forest = np.add.reduce(found.reshape(self._trees_per_panel, -1)).reshape(self._trust.shape)
        forest /= self._trees_per_panel
        linear = (self._level + even @ self._linear).reshape(forest.shape)
        return np.asarray(FOREST_SHARE * forest + (1 - FOREST_SHARE) * linear, dtype=np.float32)


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
    missing = [key for key in ("panels", "order", "skill", "familiar", "weights_sha256") if key not in card]
    if missing:
        raise ConfigError(f"quality card without {', '.join(missing)}")
    if tuple(card.get("shape", ())) != NAMES:
        raise ConfigError("the quality artefact was trained on other features")
    if sorted(card["order"]) != sorted(card["panels"]):
        raise ConfigError(f"quality card: order {card['order']} does not name its panels, {sorted(card['panels'])}")
    panels, width = len(card["panels"]), len(NAMES)
    trees = panels * card.get("trees_per_panel", 0)
    shapes = {
        "features": (trees, NODES),
        "thresholds": (trees, NODES),
        "leaf_of": (trees, 1 << DEPTH),
        "centre": (width,),
        "scale": (width,),
        "gate": (1 + width, panels),
        "panel_centre": (panels, width),
        "panel_scale": (panels, width),
    }
    if "offsets" in arrays:
        taught = card.get("feedback", {})
        shapes["offsets"] = (len(taught.get("models", ())), len(taught.get("domains", ())))
    for name, about in card["panels"].items():
        shapes[f"values.{name}"] = (about["leaves"], len(about["models"]))
        shapes[f"linear.{name}"] = (1 + width, len(about["models"]))
    for name, shape in shapes.items():
        found = arrays[name].shape if name in arrays else None
        if found != shape:
            raise ConfigError(f"quality weights: {name} is {found}, not {shape}")
