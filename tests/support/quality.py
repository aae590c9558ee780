"""A quality model small enough to reckon by hand: two panels, one tree each, split at 50 characters."""

import math
from typing import Any

import numpy as np

from headrace.router.quality.forest import DEPTH, NODES
from headrace.router.quality.model import QualityModel
from headrace.router.quality.structure import NAMES

LONG = 50
SLOPE = 0.25
# Every kind of mark, number and word at once: no question that training met looks like it.
UNLIKE = '\\{}[]=<>^+*/ %$ "“ 3/4 1.5 1999 AB Cd not most if what which who? ' * 30


def tiny_card() -> dict[str, Any]:
    """Return the card: "plain" knows a small and a large model, "choices" one in between."""
    return {
        "shape": list(NAMES),
        "panels": {
            "plain": {
                "models": ["org/Small-1b", "large-70b"],
                "leaves": 2,
                "right": [0.3, 0.75],
                "least_right": 0.01,
                "skill_at_1b": 0.3,
            },
            "choices": {
                "models": ["middle-8b"],
                "leaves": 2,
                "right": [0.5],
                "least_right": 0.25,
                "skill_at_1b": 0.3,
            },
        },
        "order": ["plain", "choices"],
        "trees_per_panel": 1,
        "skill": {"slope": SLOPE},
        "familiar": {"most_distance": 3.0},
    }


def tiny_arrays() -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays: every tree has a leaf for short texts and one for long; the linear parts are constants."""
    width = len(NAMES)
    features = np.zeros((2, NODES), dtype=np.uint8)
    features[:, 0] = NAMES.index("chars")
    thresholds = np.full((2, NODES), np.inf, dtype=np.float32)
    thresholds[:, 0] = math.log1p(LONG)
    half = 1 << (DEPTH - 1)
    leaf_of = np.repeat(np.arange(4, dtype=np.int32).reshape(2, 2), half, axis=1)
    gate = np.zeros((1 + width, 2), dtype=np.float32)
    gate[1 + NAMES.index("choices")] = (-5.0, 5.0)
    linear_plain, linear_choices = np.zeros((1 + width, 2), "<f4"), np.zeros((1 + width, 1), "<f4")
    linear_plain[0], linear_choices[0] = (0.3, 0.75), (0.5,)
    return {
        "features": features,
        "thresholds": thresholds,
        "leaf_of": leaf_of,
        "centre": np.zeros(width, "<f4"),
        "scale": np.ones(width, "<f4"),
        "gate": gate,
        "panel_centre": np.zeros((2, width), "<f4"),
        "panel_scale": np.ones((2, width), "<f4"),
        "values.plain": np.array([[0.5, 0.875], [0.125, 0.625]], "<f2"),
        "values.choices": np.array([[0.625], [0.375]], "<f2"),
        "linear.plain": linear_plain,
        "linear.choices": linear_choices,
    }


def tiny_model() -> QualityModel:
    """Return the model, as if loaded."""
    return QualityModel({**tiny_card(), "weights_sha256": "0" * 64}, tiny_arrays())
