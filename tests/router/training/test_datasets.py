import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.training.datasets import NAMED, read_dataset, read_questions
from tests.router.training.conftest import write_lines

GOOD = {"question_id": "a", "question": "Capital of France?", "grader": "contains_word", "gold": "Paris"}


def own(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def shared(folder: Path) -> Path:
    """A small copy of the two further sets' form."""
    home = folder / "retrieval" / "pubmedqa_labeled"
    write_lines(home / "corpus.jsonl.gz", [{"_id": f"p{n}", "text": f"Passage number {n}."} for n in range(120)])
    queries = [{"_id": f"q{n}", "text": f"Does {n} help?", "answer": ("yes", "no")[n % 2]} for n in range(120)]
    write_lines(home / "queries.jsonl.gz", queries)
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\tp{n}\t1" for n in range(120))]
    (home / "qrels.tsv").write_text("\n".join(lines) + "\n")
    crux = folder / "routing" / "zeroeval_crux"
    write_lines(crux / "questions.jsonl.gz", [{"question_id": f"c{n}", "question": f"f({n}) == ??"} for n in range(90)])
    outcomes = [
        {"question_id": f"c{n}", "correct": float(answer != "wrong"), "answer": answer}
        for n in range(90)
        for answer in (f"[{n}]", f"[{n}]", "wrong", "wrong", "wrong")
    ]
    write_lines(crux / "outcomes.jsonl.gz", outcomes)
    return folder


def test_every_named_set_has_both_splits_and_no_question_in_two(data: Path) -> None:
    shared(data)
    sets = {name: read_dataset(name, data) for name in NAMED}
    ids = [one.question_id for questions in sets.values() for one in questions]
    assert len(ids) == len(set(ids))
    for questions in sets.values():
        assert {one.split for one in questions} == {"calibration", "test"}
        assert all(all(one.origin) for one in questions)


def test_a_passage_is_part_of_the_question(data: Path) -> None:
    one = read_dataset("pubmedqa_labeled", shared(data))[0]
    assert one.passage
    assert one.passage in one.text
    assert one.gold["answer"] in {"yes", "no"}


def test_the_gold_of_code_reasoning_is_what_most_right_models_said(data: Path) -> None:
    for one in read_dataset("crux", shared(data)):
        assert one.gold["answer"] == f"[{one.question_id.removeprefix('c')}]"


def test_a_file_of_ones_own_is_a_dataset(tmp_path: Path) -> None:
    numbers = {"question_id": "b", "question": "1+1?", "grader": "number", "gold": 2, "kind": "sum"}
    path = own(tmp_path, GOOD, numbers)
    first, second = read_dataset(str(path), tmp_path)
    assert (first.gold, first.kind) == ({"answers": ["Paris"]}, "own")
    assert (second.gold, second.kind) == ({"answer": 2}, "sum")
    packed = tmp_path / "own.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_questions(packed) == [first, second]


def test_the_split_of_an_own_question_depends_on_its_id(tmp_path: Path) -> None:
    questions = read_questions(own(tmp_path, *({**GOOD, "question_id": f"x{n}"} for n in range(200))))
    share = sum(one.split == "calibration" for one in questions) / len(questions)
    assert 0.5 < share < 0.7


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{", "not JSON"),
        ([1], "a list"),
        ({key: value for key, value in GOOD.items() if key != "gold"}, "no field 'gold'"),
        ({**GOOD, "question": " "}, "give it a text"),
        ({**GOOD, "question_id": 7}, "give it a text"),
        ({**GOOD, "grader": "taste"}, "one of contains_word"),
        ({**GOOD, "grader": "choice"}, "gold lacks choices"),
        ({**GOOD, "grader": "json_schema", "gold": {"schema": {"type": 7}}}, "no JSON schema"),
        (GOOD, "a second time"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_number(tmp_path: Path, row: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"own\.jsonl:2: .*{told}"):
        read_questions(own(tmp_path, GOOD, row))


def test_a_file_without_questions_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no questions"):
        read_questions(own(tmp_path, ""))
    bad = tmp_path / "bad.jsonl.gz"
    bad.write_bytes(b"not gzip")
    with pytest.raises(ConfigError, match="not readable"):
        read_questions(bad)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="crux, labelled, pubmedqa_labeled"):
        read_dataset("nonsense", tmp_path)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_named_set_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HEADRACE_DATA_DIR"):
        read_dataset(name, tmp_path)
