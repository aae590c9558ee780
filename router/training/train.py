"""Makes the difficulty artefact: examples in, model card and weights out."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from headrace.router.difficulty.artefact import write_artefact
from headrace.router.training.corpus import Example
from headrace.router.training.fit import fit_model
from headrace.router.training.roles import ROLES

_CARD: Final = {
    "name": "default difficulty model",
    "predicts": (
        "the calibrated probability that a capable large tier is right where a small tier is wrong, judged from the "
        "question alone. The pool: the smallest against the best recorded models of each public source, and the "
        "default small tier itself on the calibration questions, each of those counted several times and the large "
        "role taken as right there. It is therefore a gain for tiers far apart in size, not the gain of one pair: "
        "where the large tier in use is itself weak (five-step word problems on a 1.5B model) the value is higher "
        "than the gain that tier delivers."
    ),
    "features": (
        "hashed words, word pairs and character 3- and 5-grams (tf-idf, unit length) and cheap counts of the first "
        "1,400 and last 600 characters; ridge on the gain; isotonic curve on out-of-fold scores"
    ),
    "unfamiliar_means": "a smaller share of the text's words is known from training than in 99% of held-out questions",
    "limits": [
        "English benchmark questions of 2021-2024; few conversations, hardly any other language",
        "subject identity carries most of what it knows of MMLU; see the held-out-subject rows of the evaluation",
        "out of domain treat it as a prior and let the answer-side judge decide",
    ],
    "licenses": {
        "routellm_gsm8k, routellm_mmlu, zeroeval_gsm, zeroeval_crux, bfcl_2024_08": "Apache-2.0",
        "gsm8k_example_solutions, llmrouter_ulab": "MIT",
        "default_tiers": "CC0-1.0 and MIT (per row)",
        "labelled, topic_seeds": "CC0-1.0 and MIT (HumanEval)",
    },
}


def train(examples: Sequence[Example], out: Path) -> dict[str, Any]:
    """Fit, write the artefact into folder `out` and return its card."""
    fitted = fit_model(examples)
    card = {
        **_CARD,
        **fitted.card,
        "examples": len(examples),
        "examples_by_source": dict(sorted(Counter(one.source for one in examples).items())),
        "roles": {name: {"small": roles.small, "large": roles.large} for name, roles in sorted(ROLES.items())},
        "data_sha256": data_hash(examples),
    }
    digest = write_artefact(out, card, fitted.arrays)
    return {**card, "weights_sha256": digest}


def data_hash(examples: Sequence[Example]) -> str:
    """Return a hash of all that training reads of the examples."""
    state = hashlib.sha256()
    for one in examples:
        state.update(repr((one.question_id, one.text, one.domain, one.fold, one.gain, one.weight)).encode())
    return state.hexdigest()
