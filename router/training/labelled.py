"""Questions with gold answers, and the two disjoint sets drawn from them: one to calibrate on, one to judge with.

Which question is in which set is decided by a hash of its id, so it never changes and never overlaps.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from headrace.contracts.errors import ConfigError
from headrace.router.training.corpus import read_lines

Grader = Literal["contains_word", "number", "choice", "literal", "json_schema", "python_tests"]
Split = Literal["calibration", "test"]

FEW_STEPS: Final = 2
MANY_STEPS: Final = 5

# kind -> (calibration, benchmark, further calibration): the first two never change, so that what was once
# calibrated on is never judged on. Easy kinds are drawn in proportion to what there is of them.
SIZES: Final = {
    "fact": (34, 60, 19),
    "fact_symbol": (6, 8, 5),
    "language": (14, 20, 6),
    "extraction": (20, 24, 27),
    "yes_no": (12, 14, 8),
    "arithmetic": (20, 24, 26),
    "gsm8k_few": (36, 60, 6),
    "gsm8k_many": (18, 30, 0),
    "humaneval": (28, 40, 4),
}
# Every so many easy questions of a set have a twin that asks for JSON.
TWINS: Final[dict[Split, int]] = {"calibration": 2, "test": 4}
ORIGINS: Final = {
    "easy": ("made for this project", "CC0-1.0"),
    "gsm8k": ("openai/grade-school-math 3101c7d5072418e28b9008a6636bde82a006892c, train split", "MIT"),
    "humaneval": ("openai/human-eval 6d43fb9", "MIT"),
    "pubmedqa": ("pubmedqa/pubmedqa 1cbae8e92f72f20c8d3747cbb3bf5bc53554d997, PQA-L", "MIT"),
    "crux": ("WildEval/ZeroEval 8c1485edf12c6efb5f69135a562927c5ad484059, CRUXEval output prediction", "MIT"),
    "own": ("the operator's own questions", "not stated"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One question to put to a model. `gold` is what its grader needs; as_json asks for {"answer": ...}.

    passage: the text the answer should rest on, "" where there is none; it is part of `text` too.
    """

    question_id: str
    kind: str
    text: str
    grader: Grader
    gold: Mapping[str, Any]
    as_json: bool = False
    split: Split = "calibration"
    passage: str = ""

    @property
    def origin(self) -> tuple[str, str]:
        """Return where the question comes from and its licence."""
        return ORIGINS.get(self.kind.split("_")[0], ORIGINS["easy"])


def read_labelled(folder: Path) -> list[Question]:
    """Read every labelled question of `folder`/labelled that has a kind we draw from."""
    labelled = folder / "labelled"
    if not labelled.is_dir():
        raise ConfigError(f"no labelled questions in {labelled}: set HEADRACE_DATA_DIR")
    questions = [_easy(row) for row in read_lines(labelled / "easy.jsonl.gz")]
    questions += [one for row in read_lines(labelled / "gsm8k_train.jsonl.gz") if (one := _gsm8k(row))]
    questions += [_humaneval(row) for row in read_lines(labelled / "humaneval.jsonl.gz")]
    return questions


def draw(questions: Iterable[Question]) -> tuple[list[Question], list[Question]]:
    """Return the calibration set and the benchmark set, each followed by JSON twins of some of its easy questions."""
    by_kind: dict[str, list[Question]] = {}
    for one in sorted(questions, key=lambda one: rank(one.question_id)):
        by_kind.setdefault(one.kind, []).append(one)
    calibration: list[Question] = []
    benchmark: list[Question] = []
    further: list[Question] = []
    for kind, (first, second, third) in SIZES.items():
        members = by_kind.get(kind, [])
        calibration += members[:first]
        benchmark += [replace(one, split="test") for one in members[first : first + second]]
        further += members[first + second : first + second + third]
    twins = _json_twins(calibration) + _json_twins(further)
    return calibration + further + twins, benchmark + _json_twins(benchmark)


def rank(question_id: str) -> str:
    """Return a question's place in the fixed order of draws."""
    return hashlib.sha256(question_id.encode()).hexdigest()


def _json_twins(questions: Sequence[Question]) -> list[Question]:
    easy = [one for one in questions if one.grader == "contains_word"]
    chosen = easy[:: TWINS[easy[0].split]] if easy else []
    return [replace(one, question_id=f"{one.question_id}#json", as_json=True) for one in chosen]


def _easy(row: Mapping[str, Any]) -> Question:
    gold = {"answers": row["answers"], "kind": row["kind"]}
    return Question(row["question_id"], row["kind"], row["question"], "contains_word", gold)


def _gsm8k(row: Mapping[str, Any]) -> Question | None:
    steps = row["steps"]
    if not (1 <= steps <= FEW_STEPS or steps >= MANY_STEPS):
        return None
    kind = "gsm8k_few" if steps <= FEW_STEPS else "gsm8k_many"
    return Question(row["question_id"], kind, row["question"], "number", {"answer": row["answer"]})


def _humaneval(row: Mapping[str, Any]) -> Question:
    gold = {key: row[key] for key in ("prompt", "entry_point", "test")}
    return Question(row["question_id"], "humaneval", row["question"], "python_tests", gold)
