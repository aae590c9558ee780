"""Makes the quality artefact: panels in, model card and weights out."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from headrace.router.difficulty.artefact import write_artefact
from headrace.router.quality.model import FORMAT
from headrace.router.training.fit_quality import fit_quality
from headrace.router.training.panels import Panel

_CARD: Final = {
    "name": "default quality model",
    "predicts": "the probability that a model's answer is right, for any number of models, from the question alone",
    "features": (
        "the shape of the first 2,000 characters (lengths, numbers, marks, kinds of words, choices); 64 extremely "
        "randomised trees for every panel, grown on its gain and mixed by how like the panel the question is, and 64 "
        "over all panels, grown on the gain centred within each"
    ),
    "limits": [
        "English benchmark questions of 2021-2024; models of 2021-2024 and the default tiers",
        "a model in no record is predicted from its parameters: right = start + slope x log10(parameters)",
        "outside its panels it is about as good as the length of the question",
    ],
    "licenses": {
        "routellm_gsm8k, routellm_mmlu, zeroeval_gsm, zeroeval_crux, bfcl_2024_08": "Apache-2.0",
        "gsm8k_example_solutions, llmrouter_ulab": "MIT",
        "default_tiers": "CC0-1.0 and MIT (per row)",
    },
}


def train_quality(panels: Sequence[Panel], out: Path) -> dict[str, Any]:
    """Fit, write the artefact into folder `out` and return its card."""
    fitted = fit_quality(panels)
    card = {**_CARD, **fitted.card, "data_sha256": panels_hash(panels)}
    digest = write_artefact(out, card, fitted.arrays, FORMAT)
    return {**card, "weights_sha256": digest}


def panels_hash(panels: Sequence[Panel]) -> str:
    """Return a hash of all that training reads of the panels."""
    state = hashlib.sha256()
    for panel in panels:
        state.update(repr((panel.name, panel.texts, panel.models, panel.parameters)).encode())
        state.update(panel.right.tobytes())
        state.update(panel.gain.tobytes())
    return state.hexdigest()
