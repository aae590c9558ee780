import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.router.training.corpus import DATA_DIR_VARIABLE
from headrace.router.training.roles import ROLES, Roles


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0))


def is_hard(number: int) -> bool:
    return number % 2 == 0


def text_of(number: int) -> str:
    if is_hard(number):
        return f"Integrate the polynomial number {number} over the unit interval and simplify the total sum."
    return f"Name the colour of fruit number {number}."


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small copy of the shared data's form: hard questions are gained by the large role, easy ones are not."""
    for source, roles in ROLES.items():
        questions = [
            {
                "question_id": f"{source}:{number}",
                "source": source,
                "subject": "mmlu" if is_hard(number) else "trivia_qa",
                "question": text_of(number),
                "group": f"g{number}",
                "fold": number // 2 % 5,
                "subject_fold": number // 2 % 5,
            }
            for number in range(60)
        ]
        models = {**dict.fromkeys(roles.small, False), **dict.fromkeys(roles.large, True)}
        outcomes = [
            {"question_id": one["question_id"], "model": model, "correct": float(is_large or number % 2)}
            for number, one in enumerate(questions)
            for model, is_large in models.items()
        ]
        write_lines(tmp_path / "routing" / source / "questions.jsonl.gz", questions)
        write_lines(tmp_path / "routing" / source / "outcomes.jsonl.gz", outcomes)
        write_sizes(tmp_path / "routing" / source / "models.csv", roles)
    write_labelled(tmp_path / "labelled")
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    return tmp_path


def write_sizes(path: Path, roles: Roles) -> None:
    """Write the sizes of a source's models; that of the last large one is not disclosed."""
    sized = {**dict.fromkeys(roles.small, "46.7"), **dict.fromkeys(roles.large[:-1], "405")}
    rows = [f"{model},,{sized.get(model, '')},," for model in (*roles.small, *roles.large)]
    path.write_text("\n".join(["model,family,params_b,active_params_b,note", *rows, ""]))


def write_labelled(folder: Path) -> None:
    easy = [
        {
            "question_id": f"easy-{hashlib.sha256(str(number).encode()).hexdigest()[:8]}",
            "kind": "fact",
            "question": f"What is the name of lake number {number}?",
            "answers": [f"lake{number}"],
            "grader": "contains_word",
        }
        for number in range(120)
    ]
    sums = [
        {
            "question_id": f"gsm8k-train-{n}",
            "question": f"Kim has {n} nuts and finds one more. How many now?",
            "answer": str(n + 1),
            "steps": n % 8,
        }
        for n in range(400)
    ]
    code = [
        {
            "question_id": f"HumanEval/{n}",
            "question": f"Write a Python function f{n}.",
            "prompt": f"def f{n}(x):\n",
            "entry_point": f"f{n}",
            "test": "def check(c):\n    assert c(1) == 1",
        }
        for n in range(70)
    ]
    write_lines(folder / "easy.jsonl.gz", easy)
    write_lines(folder / "gsm8k_train.jsonl.gz", sums)
    write_lines(folder / "humaneval.jsonl.gz", code)
