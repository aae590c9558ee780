from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.training.labelled import Question
from headrace.router.training.record import Row
from headrace.router.training.table import compact, read_table, write_table

QUESTION = Question("q1", "fact", "What is the capital of France?", "contains_word", {"answers": ["Paris"]})
TWIN = Question("q1#json", "fact", "What is the capital of France?", "contains_word", {}, as_json=True)


def row(question_id: str, tokens: list[str], **fields: object) -> Row:
    values = {
        "question_id": question_id,
        "kind": "fact",
        "model": "m",
        "as_json": False,
        "correct": True,
        "text": "".join(tokens),
        "finish_reason": "stop",
        "tokens": tokens,
        "logprobs": [-0.126] * len(tokens),
        "token_s": [0.25] * len(tokens),
        "prompt_tokens": 9,
        "seconds": 1.5,
        **fields,
    }
    return Row(**values)  # type: ignore[arg-type]


def test_runs_are_joined_with_their_questions() -> None:
    entries = compact([QUESTION, TWIN], {"m": [row("q1", ["Pa", "ris"])], "n": [row("q1", ["no"], correct=False)]})
    assert len(entries) == 1
    answers = entries[0].answers
    assert (answers["m"].correct, answers["n"].correct) == (True, False)
    assert answers["m"].evidence == [-13, -13]
    assert answers["m"].logprobs == [-0.13, -0.13]
    assert (answers["m"].early_ms, answers["m"].tokens, answers["m"].prompt_tokens) == ([250, 250], 2, 9)
    assert entries[0].license == "CC0-1.0"


def test_of_json_only_the_tokens_of_values_are_evidence() -> None:
    entries = compact([TWIN], {"m": [row("q1#json", ['{"', "answer", '":"', "Paris", '"}'], as_json=True)]})
    assert len(entries[0].answers["m"].evidence) < 5


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    entries = compact([QUESTION], {"m": [row("q1", ["Paris"])]})
    write_table(tmp_path / "one", entries)
    write_table(tmp_path / "two", entries)
    assert read_table(tmp_path / "one") == entries
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"not gzip")
    for name in ("bad", "missing"):
        with pytest.raises(ConfigError, match="headrace router record"):
            read_table(tmp_path / name)


def test_the_packaged_record_is_licensed_and_large_enough() -> None:
    entries = read_table()
    assert len(entries) >= 150
    assert {one.license for one in entries} == {"CC0-1.0", "MIT"}
    assert all(one.origin and one.text for one in entries)
