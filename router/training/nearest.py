"""Makes the index of training questions that `headrace explain` shows: a sample, shortened, of what may be passed on.

Only sources whose questions are under MIT, Apache-2.0 or CC0 are drawn from, and never a question of a test split: not
of the public record's and not of the default tiers' own. Deterministic: the same data gives the same bytes.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from headrace.router.difficulty.artefact import write_artefact
from headrace.router.explaining.nearest import FOLDER, FORMAT, HUNDREDTHS, NOT_ASKED, words_of
from headrace.router.training.corpus import Example, read_lines
from headrace.router.training.labelled import rank
from headrace.router.training.roles import ROLES

MOST_CHARS: Final = 160
# Questions drawn from each source, and the licence they are passed on under. llmrouter_ulab holds questions under
# CC BY-SA and CC BY, bfcl_2024_08 has no licence file of its own: nothing is drawn from either.
SOURCES: Final = {
    "default_tiers": (600, "CC0-1.0 and MIT, as router/training/data says by row"),
    "routellm_gsm8k": (400, "MIT, Copyright (c) 2021 OpenAI (grade-school-math)"),
    "routellm_mmlu": (1500, "MIT, Copyright (c) 2020 Dan Hendrycks (hendrycks/test)"),
    "zeroeval_crux": (300, "MIT, Copyright (c) Meta Platforms, Inc. and affiliates (facebookresearch/cruxeval)"),
    "zeroeval_gsm": (200, "MIT, Copyright (c) 2021 OpenAI (grade-school-math)"),
}
_CARD: Final = {
    "name": "training questions for explanations",
    "holds": (
        f"a sample of the questions that the difficulty model learnt from: the first {MOST_CHARS} characters, hashes "
        "of the words of the whole text, and how right the small and the large role of the source were"
    ),
    "origin": "the sources named in the difficulty model's card; shortened; no question of a test split",
}


def write_nearest(examples: Sequence[Example], folder: Path, out: Path) -> dict[str, Any]:
    """Write the index beside the difficulty artefact in `out` and return its card; folder: the shared data."""
    drawn = [*_drawn(examples, folder)]
    words = [words_of(one.text) for one in drawn]
    rows = [(_named(one), _hundredths(one.small), _large(one), _shortened(one.text)) for one in drawn]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    arrays = {
        "rows": np.frombuffer(text.encode(), dtype=np.uint8),
        "words": np.concatenate([np.empty(0, dtype=np.int64), *words]).astype("<i4"),
        "lengths": np.array([one.size for one in words], dtype="<i4"),
    }
    counted = Counter(one.source for one in drawn)
    card = {
        **_CARD,
        "questions": len(drawn),
        "questions_by_source": dict(sorted(counted.items())),
        "licenses": {source: SOURCES[source][1] for source in sorted(counted)},
    }
    digest = write_artefact(out / FOLDER, card, arrays, FORMAT)
    return {**card, "weights_sha256": digest}


def _drawn(examples: Sequence[Example], folder: Path) -> Iterator[Example]:
    """Yield, source by source, the first questions in the fixed order of draws; a repeated text once."""
    seen: set[str] = set()
    tested = _tested(folder)
    for source, (most, _) in SOURCES.items():
        own = [one for one in examples if one.source == source and one.question_id not in tested]
        for one in sorted(own, key=lambda one: rank(one.question_id))[:most]:
            if one.text not in seen:
                seen.add(one.text)
                yield one


def _tested(folder: Path) -> set[str]:
    """Return the questions of the public record's test split; the record of the default tiers comes without its own."""
    paths = [folder / "routing" / source / "questions.jsonl.gz" for source in sorted(ROLES)]
    return {row["question_id"] for path in paths for row in read_lines(path) if row.get("split") == "test"}


def _named(one: Example) -> str:
    """Return the id, led by the source."""
    return one.question_id if one.question_id.startswith(f"{one.source}:") else f"{one.source}:{one.question_id}"


def _hundredths(right: float | None) -> int:
    return round(HUNDREDTHS * (right or 0.0))


def _large(one: Example) -> int:
    """Return how right the large role was; NOT_ASKED where training takes it as right without asking it."""
    return NOT_ASKED if one.source == "default_tiers" else _hundredths(one.large)


def _shortened(text: str) -> str:
    return " ".join(text.split())[:MOST_CHARS]
