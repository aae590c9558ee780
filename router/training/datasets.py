"""The question sets that `headrace router collect` knows by name, and any file of questions with gold answers.

Every question carries its split: calibration or test. Which one is decided by a hash of its id.
"""

import ast
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema_rs

from headrace.contracts.errors import ConfigError
from headrace.router.training.corpus import read_lines
from headrace.router.training.labelled import Grader, Question, draw, rank, read_labelled

# How many questions of a set are drawn for calibration and for the test.
PUBMEDQA_SIZES: Final = (66, 44)
CRUX_SIZES: Final = (50, 30)
CALIBRATION_SHARE: Final = 0.6
LONGEST_LITERAL: Final = 120
_FIELDS: Final = ("question_id", "question", "grader", "gold")
# What each grader's gold must hold.
_GOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "contains_word": ("answers",),
    "number": ("answer",),
    "choice": ("answer", "choices"),
    "literal": ("answer",),
    "json_schema": ("schema",),
    "python_tests": ("prompt", "entry_point", "test"),
}


def read_dataset(name: str, folder: Path) -> list[Question]:
    """Return the questions of a named set under `folder`, or of the JSONL file `name`; ConfigError for neither."""
    if name in NAMED:
        return NAMED[name](folder)
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"--dataset {name!r}: no such file, and not one of {', '.join(sorted(NAMED))}")
    return read_questions(path)


def read_questions(path: Path) -> list[Question]:
    """Read {"question_id", "question", "grader", "gold"} lines; ConfigError with file and line for a bad one."""
    questions: dict[str, Question] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        one = _question(line, f"{path}:{number}")
        if one.question_id in questions:
            raise ConfigError(f"{path}:{number}: question_id {one.question_id!r} a second time; give each its own")
        questions[one.question_id] = one
    if not questions:
        raise ConfigError(f"{path}: no questions; write one JSON object a line with {', '.join(_FIELDS)}")
    return list(questions.values())


def _labelled(folder: Path) -> list[Question]:
    calibration, benchmark = draw(read_labelled(folder))
    return [*calibration, *benchmark]


def _pubmedqa(folder: Path) -> list[Question]:
    home = _existing(folder / "retrieval" / "pubmedqa_labeled")
    passages = {row["_id"]: row["text"] for row in read_lines(home / "corpus.jsonl.gz")}
    rows = (home / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]
    passage_of = {query: passage for query, passage, _ in (row.split("\t") for row in rows)}
    questions = []
    for row in read_lines(home / "queries.jsonl.gz"):
        passage = passages[passage_of[row["_id"]]]
        text = f"{passage}\n\nQuestion: {row['text']}\nAnswer yes, no or maybe, then give the reason in one sentence."
        gold = {"answer": row["answer"], "choices": ["yes", "no", "maybe"]}
        questions.append(Question(f"pubmedqa:{row['_id']}", "pubmedqa", text, "choice", gold, passage=passage))
    return _first(questions, PUBMEDQA_SIZES)


def _crux(folder: Path) -> list[Question]:
    home = _existing(folder / "routing" / "zeroeval_crux")
    golds = _agreed_answers(home / "outcomes.jsonl.gz")
    questions = []
    for row in read_lines(home / "questions.jsonl.gz"):
        gold = golds.get(row["question_id"], "")
        if gold.strip() and len(gold) <= LONGEST_LITERAL:
            text = f"{row['question']}\n\nReply with the completed assertion only."
            questions.append(Question(row["question_id"], "crux", text, "literal", {"answer": gold}))
    return _first(questions, CRUX_SIZES)


def _agreed_answers(outcomes: Path) -> dict[str, str]:
    """Return the answer most right models gave; one that is a literal before one that lost its quotes."""
    given: dict[str, Counter[str]] = {}
    for row in read_lines(outcomes):
        if row["correct"] == 1 and "answer" in row:
            given.setdefault(row["question_id"], Counter())[str(row["answer"])] += 1
    return {key: max(counts, key=lambda one: (counts[one], _is_literal(one), one)) for key, counts in given.items()}


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _first(questions: Sequence[Question], sizes: tuple[int, int]) -> list[Question]:
    ordered = sorted(questions, key=lambda one: rank(one.question_id))
    calibration, test = sizes
    held = [replace(one, split="test") for one in ordered[calibration : calibration + test]]
    return [*ordered[:calibration], *held]


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"no questions in {folder}: set HEADRACE_DATA_DIR to the folder of the shared data")
    return folder


def _lines(path: Path) -> Iterator[str]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not readable as JSON lines ({exc}); give a .jsonl or .jsonl.gz file") from exc
    yield from text.splitlines()


def _question(line: str, where: str) -> Question:
    try:
        row = json.loads(line)
    except ValueError as exc:
        raise ConfigError(f"{where}: not JSON ({exc}); write one object a line") from exc
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: a {type(row).__name__}; write an object with {', '.join(_FIELDS)}")
    for field in _FIELDS:
        if field not in row:
            raise ConfigError(f"{where}: no field {field!r}; an object needs {', '.join(_FIELDS)}")
    for field in ("question_id", "question"):
        if not isinstance(row[field], str) or not row[field].strip():
            raise ConfigError(f"{where}: {field} is {row[field]!r}; give it a text")
    if row["grader"] not in get_args(Grader):
        raise ConfigError(f"{where}: grader {row['grader']!r}; one of {', '.join(get_args(Grader))}")
    gold = _gold(row["grader"], row["gold"], where)
    if row["grader"] == "json_schema":
        _check_schema(gold["schema"], where)
    share = int(rank(row["question_id"])[:8], 16) / 16**8
    return Question(
        question_id=row["question_id"],
        kind=str(row.get("kind", "own")),
        text=row["question"],
        grader=row["grader"],
        gold=gold,
        as_json=row["grader"] == "json_schema",
        split="calibration" if share < CALIBRATION_SHARE else "test",
        passage=str(row.get("passage", "")),
    )


def _gold(grader: str, gold: Any, where: str) -> Mapping[str, Any]:  # noqa: ANN401  (as it came from the file)
    """Return gold in the grader's form; a bare value stands for its first field."""
    wanted = _GOLD[grader]
    bare = {wanted[0]: [gold] if wanted[0] == "answers" else gold}
    fields: dict[str, Any] = gold if isinstance(gold, dict) else bare
    missing = [name for name in wanted if name not in fields]
    if missing:
        raise ConfigError(f"{where}: gold lacks {', '.join(missing)}; {grader} needs {', '.join(wanted)}")
    return fields


def _check_schema(schema: Any, where: str) -> None:  # noqa: ANN401  (a JSON schema is an object or a boolean)
    try:
        jsonschema_rs.validator_for(schema, offline=True)
    except ValueError as exc:
        raise ConfigError(f"{where}: gold.schema is no JSON schema ({exc}); correct it") from exc


NAMED: Final[Mapping[str, Callable[[Path], list[Question]]]] = {
    "labelled": _labelled,
    "pubmedqa_labeled": _pubmedqa,
    "crux": _crux,
}
