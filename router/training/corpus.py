"""Reads recorded outcomes into training examples. Reads files only: no fitting, no metrics."""

import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import headrace
from headrace.contracts.errors import ConfigError
from headrace.router.training.roles import ROLES, Roles, domain_of

DATA_DIR_VARIABLE: Final = "HEADRACE_DATA_DIR"
FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Example:
    """One question with what its source's two roles made of it.

    gain = share of (small wrong, large right) over the pairs of models, None where nobody was asked.
    small, large: mean correctness of each role. group: questions that must stay on one side of a split.
    """

    question_id: str
    text: str
    source: str
    subject: str
    domain: str
    group: str
    fold: int
    small: float | None = None
    large: float | None = None
    gain: float | None = None
    weight: float = 1.0

    @property
    def advantage(self) -> float:
        """Return large minus small: what a strong call is worth on this question."""
        return (self.large or 0.0) - (self.small or 0.0)


def data_dir() -> Path:
    """Return the folder of shared data: $HEADRACE_DATA_DIR, or ../shared/data beside the repository."""
    named = os.environ.get(DATA_DIR_VARIABLE)
    root = Path(headrace.__file__).resolve().parents[2]
    folder = Path(named) if named else root.parent / "shared" / "data"
    if not (folder / "routing").is_dir():
        raise ConfigError(f"no training data in {folder}: set {DATA_DIR_VARIABLE} to the folder that holds routing/")
    return folder


def read_source(folder: Path, source: str, roles: Roles | None = None) -> list[Example]:
    """Read one source of `folder`/routing, judged by `roles` (default: the source's own)."""
    roles = roles or ROLES[source]
    home = folder / "routing"
    small_answers = _outcomes(home / source, roles.small, key="question_id")
    large_key = "group" if roles.large_from else "question_id"
    large_answers = _outcomes(home / (roles.large_from or source), roles.large, key=large_key)
    examples = []
    for row in read_lines(home / source / "questions.jsonl.gz"):
        small, large = small_answers.get(row["question_id"], []), large_answers.get(row[large_key], [])
        if small and large:
            examples.append(_example(row, source, small, large))
    return examples


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a .jsonl.gz file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _example(row: Mapping[str, Any], source: str, small: list[float], large: list[float]) -> Example:
    pairs = [(1.0 - weak) * strong for weak in small for strong in large]
    return Example(
        question_id=row["question_id"],
        text=row["question"],
        source=source,
        subject=row["subject"],
        domain=domain_of(source, row["subject"]),
        group=row["group"],
        fold=row["fold"],
        small=sum(small) / len(small),
        large=sum(large) / len(large),
        gain=sum(pairs) / len(pairs),
    )


def _outcomes(source: Path, models: Sequence[str], *, key: str) -> dict[str, list[float]]:
    """Return, for each question or group of questions, how right each of `models` was."""
    keys = {row["question_id"]: row[key] for row in read_lines(source / "questions.jsonl.gz")}
    table: dict[str, list[float]] = {}
    for row in read_lines(source / "outcomes.jsonl.gz"):
        if row["model"] in models:
            table.setdefault(keys[row["question_id"]], []).append(float(row["correct"]))
    return table
