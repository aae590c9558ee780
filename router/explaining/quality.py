"""Which features of a question's shape move the predicted gain of one model over another.

The forest keeps leaf values and no values of the nodes above them, so a path cannot be taken apart. What is told is
an ablation: each feature alone is set to its mean over the panel that the question is most like, and the gain is
predicted again. The differences are exact; they need not add up, for the trees let features act together.
"""

from typing import Final

import msgspec
import numpy as np

from headrace.router.quality.model import Candidate, QualityModel
from headrace.router.quality.structure import NAMES, structure

METHOD: Final = (
    "ablation: the gain minus what it would be with this feature alone at the panel's mean; they need not add up"
)
_UNMOVED: Final = 5e-5


class Moved(msgspec.Struct, frozen=True):
    """One feature: its value as a count or share, the panel's mean of it, and what it adds to the gain."""

    name: str
    value: float
    usual: float
    gain: float


class Gain(msgspec.Struct, frozen=True):
    """Predicted quality of `strong` minus that of `weak` (model ids), and the features that move it, heaviest first.

    panel: the recorded questions that this one is most like.
    """

    weak: str
    strong: str
    value: float
    panel: str
    parts: tuple[Moved, ...]
    method: str = METHOD


def gain_parts(model: QualityModel, weak: Candidate, strong: Candidate, text: str) -> Gain:
    """Predict the gain and take it apart; some tens of milliseconds."""
    predictor = model.bind([weak, strong])
    shape = structure(text)
    predicted = predictor.of_shape(shape)
    nearest = int(predicted.likeness.argmax())
    usual = model.array("panel_centre")[nearest]
    whole = float(predicted.quality[1] - predicted.quality[0])
    parts = []
    for place, name in enumerate(NAMES):
        other = shape.copy()
        other[place] = usual[place]
        without = predictor.of_shape(other).quality
        moved = whole - float(without[1] - without[0])
        if abs(moved) > _UNMOVED:
            parts.append(Moved(name, float(np.expm1(shape[place])), float(np.expm1(usual[place])), moved))
    parts.sort(key=lambda part: -abs(part.gain))
    return Gain(weak.name, strong.name, whole, model.panels[nearest], tuple(parts))
