"""Fits the difficulty model without each fold of a record, and lets each fit judge its own fold."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from headrace.contracts.routing import Difficulty
from headrace.router.difficulty.model import load
from headrace.router.training.assemble import fold_of
from headrace.router.training.corpus import FOLDS, Example
from headrace.router.training.table import Entry
from headrace.router.training.train import train


def judged_apart(examples: Sequence[Example], entries: Sequence[Entry]) -> dict[str, Difficulty]:
    """Return a judgement of every entry by id; a question and its JSON twin share a fold. FOLDS fits, minutes."""
    judged: dict[str, Difficulty] = {}
    for fold in range(FOLDS):
        held = {one.question_id: one.text for one in entries if fold_of(one.question_id.removesuffix("#json")) == fold}
        with tempfile.TemporaryDirectory() as folder:
            train([one for one in examples if one.question_id not in held], Path(folder))
            model = load(Path(folder))
        judged |= {name: model.judge(text) for name, text in held.items()}
    return judged
