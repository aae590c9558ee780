"""Reads panels: questions that the same models answered, with who was right and how large each model is."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from headrace.router.training.assemble import fold_of
from headrace.router.training.corpus import read_lines
from headrace.router.training.metrics import Doubles
from headrace.router.training.roles import ROLES, Roles
from headrace.router.training.table import Entry

LEAST_SHARE: Final = 0.95  # of a panel's questions that a model must have answered to be kept
OWN: Final = "default_tiers"
MILLION: Final = 1e6


@dataclass(frozen=True, slots=True)
class Panel:
    """right: [questions, models], 0..1, nan where not known; gain: what the panel's large role has over its small one.

    parameters: of each model, 0 where not disclosed. group: what must stay on one side of a split. fold: 0..4.
    """

    name: str
    question_ids: tuple[str, ...]
    texts: tuple[str, ...]
    subjects: tuple[str, ...]
    groups: tuple[str, ...]
    fold: npt.NDArray[np.int64]
    models: tuple[str, ...]
    parameters: tuple[int, ...]
    right: Doubles
    gain: Doubles

    def rows(self, chosen: npt.NDArray[np.int64]) -> "Panel":
        """Return the panel reduced to some of its questions."""
        pick = [int(row) for row in chosen]
        return Panel(
            self.name,
            tuple(self.question_ids[row] for row in pick),
            tuple(self.texts[row] for row in pick),
            tuple(self.subjects[row] for row in pick),
            tuple(self.groups[row] for row in pick),
            self.fold[chosen],
            self.models,
            self.parameters,
            self.right[chosen],
            self.gain[chosen],
        )

    def pair(self, weak: str, strong: str) -> tuple[Doubles, Doubles]:
        """Return how right two of the panel's models were on every question."""
        return self.right[:, self.models.index(weak)], self.right[:, self.models.index(strong)]


def read_panels(folder: Path, table: Sequence[Entry]) -> list[Panel]:
    """Return a panel for every public source that has roles, and one for the default tiers' own record."""
    return [*(read_panel(folder, source) for source in sorted(ROLES)), own_panel(table)]


def read_panel(folder: Path, source: str, roles: Roles | None = None) -> Panel:
    """Read one source of `folder`/routing; a question that a role has no outcome for is left out."""
    roles = roles or ROLES[source]
    home = folder / "routing" / source
    questions = list(read_lines(home / "questions.jsonl.gz"))
    place = {row["question_id"]: number for number, row in enumerate(questions)}
    found: dict[str, Doubles] = {}
    for row in read_lines(home / "outcomes.jsonl.gz"):
        column = found.setdefault(row["model"], np.full(len(questions), np.nan))
        column[place[row["question_id"]]] = float(row["correct"])
    models = tuple(name for name, column in found.items() if np.isfinite(column).mean() >= LEAST_SHARE)
    right = np.stack([found[name] for name in models], axis=1)
    small = _mean(found, roles.small)
    large = _best(right) if roles.large_from else _mean(found, roles.large)
    kept = np.flatnonzero(np.isfinite(small) & np.isfinite(large))
    sizes = _sizes(home / "models.csv")
    return Panel(
        name=source,
        question_ids=tuple(row["question_id"] for row in questions),
        texts=tuple(row["question"] for row in questions),
        subjects=tuple(row["subject"] for row in questions),
        groups=tuple(row["group"] for row in questions),
        fold=np.array([row["fold"] for row in questions], dtype=np.int64),
        models=models,
        parameters=tuple(sizes.get(name, 0) for name in models),
        right=right,
        gain=large - small,
    ).rows(kept.astype(np.int64))


def own_panel(table: Sequence[Entry]) -> Panel:
    """Return the default tiers' recorded answers (plain ones, not the JSON twins) as a panel."""
    entries = [one for one in table if not one.as_json]
    models = tuple(sorted({name for one in entries for name in one.answers}))
    entries = [one for one in entries if len(one.answers) == len(models)]
    right = np.array([[float(one.answers[name].correct) for name in models] for one in entries])
    by_skill = right.mean(axis=0).argsort()
    return Panel(
        name=OWN,
        question_ids=tuple(one.question_id for one in entries),
        texts=tuple(one.text for one in entries),
        subjects=tuple(one.kind for one in entries),
        groups=tuple(one.question_id for one in entries),
        fold=np.array([fold_of(one.question_id) for one in entries], dtype=np.int64),
        models=models,
        parameters=tuple(_OWN_SIZES.get(name, 0) for name in models),
        right=right,
        gain=right[:, by_skill[-1]] - right[:, by_skill[0]],
    )


_OWN_SIZES: Final = {
    "smollm2-135m-instruct-int8": int(134.5 * MILLION),
    "qwen2.5-coder-0.5b-instruct-int8": int(494 * MILLION),
    "qwen2.5-coder-1.5b-instruct-int8": int(1_540 * MILLION),
}


def _mean(found: dict[str, Doubles], models: Sequence[str]) -> Doubles:
    return np.asarray(np.mean([found[name] for name in models], axis=0))


def _best(right: Doubles) -> Doubles:
    """Return the outcomes of the model that is right most often."""
    return np.asarray(right[:, int(np.nanmean(right, axis=0).argmax())])


def _sizes(path: Path) -> dict[str, int]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["model"]: int(float(row["params_b"]) * 1000) * int(MILLION) for row in rows if row["params_b"]}
