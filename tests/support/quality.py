"""A quality model small enough to reckon by hand: two panels and the pool, one tree each, split at 50 characters."""

import math
from typing import Any

import numpy as np

from headrace.router.quality.forest import DEPTH, NODES
from headrace.router.quality.model import QualityModel
from headrace.router.quality.structure import NAMES

LONG = 50
SLOPE = 0.25
GAIN_PER_DECADE = 0.1
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
                "skill_at_1b": 0.3,
            },
            "choices": {
                "models": ["middle-8b", "large-70b"],
                "leaves": 2,
                "right": [0.5, 0.8],
                "skill_at_1b": 0.3,
            },
        },
        "order": ["plain", "choices"],
        "trees_per_panel": 1,
        "skill": {"slope": SLOPE},
        "pooled": {"leaves": 2, "gain_per_decade": GAIN_PER_DECADE, "decades": 1.0},
        "familiar": {"most_distance": 3.0},
    }


def tiny_arrays() -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays: every tree has a leaf for short texts and one for long."""
    width = len(NAMES)
    features = np.zeros((3, NODES), dtype=np.uint8)
    features[:, 0] = NAMES.index("chars")
    thresholds = np.full((3, NODES), np.inf, dtype=np.float32)
    thresholds[:, 0] = math.log1p(LONG)
    half = 1 << (DEPTH - 1)
    leaf_of = np.repeat(np.arange(6, dtype=np.int32).reshape(3, 2), half, axis=1)
    gate = np.zeros((1 + width, 2), dtype=np.float32)
    gate[1 + NAMES.index("choices")] = (-5.0, 5.0)
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
        "values.choices": np.array([[0.625, 0.875], [0.375, 0.75]], "<f2"),
        "values.pooled": np.array([[-1.0, 0.125], [1.0, -0.25]], "<f2"),
    }


def tiny_model() -> QualityModel:
    """Return the model, as if loaded."""
    return QualityModel({**tiny_card(), "weights_sha256": "0" * 64}, tiny_arrays())
