"""Reads recorded outcomes of many models to the same questions into arrays: who was right, what it cost, what was said.

Cost is a stand-in, not money: active parameters in billions times characters written, or parameters a call where the
record has no lengths. Prompts are not counted (the record does not hold them). Never add it to dollars.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from headrace.router.training.corpus import read_lines
from headrace.router.training.metrics import group_numbers

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's recorded answers, in the order of the questions.

    right: 0 to 1. cost: see the module. chars: characters written, 0 where unknown. said: the final answer in one
    spelling, None where none was found.
    """

    right: Doubles
    cost: Doubles
    chars: Doubles
    said: Words

    def agrees(self, other: "Answers") -> Bools:
        """Tell where both said the same; a missing answer agrees with nothing."""
        return np.asarray((self.said == other.said) & (self.said != None), dtype=np.bool_)  # noqa: E711  (by element)

    def rows(self, chosen: Rows) -> Self:
        """Return the chosen questions' answers."""
        return type(self)(self.right[chosen], self.cost[chosen], self.chars[chosen], self.said[chosen])


@dataclass(frozen=True, slots=True)
class Record:
    """Questions and what every model made of them. group: resampling unit; fold: 0 to 4."""

    texts: tuple[str, ...]
    subject: Words
    group: Rows
    fold: Rows
    models: Mapping[str, Answers]


def read_record(folder: Path, source: str, models: Sequence[str], spell: Callable[[str], str] = str) -> Record:
    """Read `models` of one source of `folder`/routing; `spell` puts an answer into the spelling that is compared."""
    home = folder / "routing" / source
    questions = list(read_lines(home / "questions.jsonl.gz"))
    at = {row["question_id"]: number for number, row in enumerate(questions)}
    found: dict[str, list[Mapping[str, Any] | None]] = {model: [None] * len(questions) for model in models}
    for row in read_lines(home / "outcomes.jsonl.gz"):
        if row["model"] in found:
            found[row["model"]][at[row["question_id"]]] = row
    sizes = read_sizes(folder, source)
    return Record(
        texts=tuple(row["question"] for row in questions),
        subject=words([row["subject"] for row in questions]),
        group=group_numbers([row["group"] for row in questions]),
        fold=np.array([row["fold"] for row in questions]),
        models={model: _answers(f"{source}: {model}", rows, sizes[model], spell) for model, rows in found.items()},
    )


def read_sizes(folder: Path, source: str) -> dict[str, float]:
    """Return the active parameters, in billions, of every model of a source whose size is known."""
    with (folder / "routing" / source / "models.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["model"]: float(row["active_params_b"] or row["params_b"]) for row in rows if row["params_b"]}


def words(said: Sequence[str | None]) -> Words:
    """Return final answers as an array that is compared element by element."""
    return np.array(said, dtype=np.object_)


def _answers(
    name: str, rows: Sequence[Mapping[str, Any] | None], size_b: float, spell: Callable[[str], str]
) -> Answers:
    whole = [row for row in rows if row is not None]
    if len(whole) < len(rows):
        raise ValueError(f"{name}: {len(rows) - len(whole)} questions without an outcome; choose another model")
    chars = np.array([float(row.get("output_chars", 0)) for row in whole])
    return Answers(
        right=np.array([float(row["correct"]) for row in whole]),
        cost=size_b * chars if chars.any() else np.full(len(whole), size_b),
        chars=chars,
        said=words([None if row.get("answer") is None else spell(row["answer"]) for row in whole]),
    )
