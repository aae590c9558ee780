import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.cli.score import parameters_of, read_questions
from headrace.contracts.errors import ConfigError
from tests.support.quality import UNLIKE

RUNNER = CliRunner()
WEAK, STRONG = "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"
QUESTIONS = [
    "What is the capital of France?",
    "If 3 pens cost $4.50 and each pen weighs 12 grams, how much do 7 pens cost and weigh?",
    "",
]


def score(folder: Path, content: bytes, *, weak: str = WEAK, strong: str = STRONG, output: str = "out.jsonl") -> Result:
    asked = folder / "asked.jsonl"
    asked.write_bytes(content)
    options = ["--input", str(asked), "--weak", weak, "--strong", strong, "--output", str(folder / output)]
    return RUNNER.invoke(app, ["score", *options], catch_exceptions=False)


def lines(*questions: str) -> bytes:
    rows = [{"question_id": f"q{number}", "question": text} for number, text in enumerate(questions)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_the_packaged_artefact_scores_every_question_in_order(tmp_path: Path) -> None:
    done = score(tmp_path, lines(*QUESTIONS))
    assert done.exit_code == 0
    assert "3 questions scored, 0 unlike" in done.stdout
    assert not done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["question_id"] for row in rows] == ["q0", "q1", "q2"]
    assert all(set(row) == {"question_id", "score"} and -1 < row["score"] < 1 for row in rows)
    assert len({row["score"] for row in rows}) == 3


def test_the_order_of_the_pair_is_the_sign_of_the_score(tmp_path: Path) -> None:
    found = []
    for pair in ((WEAK, STRONG), (STRONG, WEAK), (WEAK, WEAK)):
        score(tmp_path, lines(QUESTIONS[0]), weak=pair[0], strong=pair[1])
        found.append(json.loads((tmp_path / "out.jsonl").read_text())["score"])
    assert found[0] == pytest.approx(-found[1], abs=1e-5)
    assert found[2] == 0


def test_an_unseen_model_is_named_with_its_size(tmp_path: Path) -> None:
    done = score(tmp_path, lines(QUESTIONS[0]), weak="novel-2x7b-chat", strong="grand-model")
    assert done.stderr.splitlines() == [
        "novel-2x7b-chat is in no record: predicted from its size, 14 B",
        "grand-model is in no record and its parameters are not known: predicted as an average model",
    ]


def test_unlike_questions_are_counted(tmp_path: Path) -> None:
    assert "2 questions scored, 1 unlike" in score(tmp_path, lines(UNLIKE, QUESTIONS[0])).stdout


def test_empty_lines_are_passed_over_and_no_question_is_no_error(tmp_path: Path) -> None:
    assert "1 questions scored" in score(tmp_path, b"\n" + lines(QUESTIONS[0]) + b"\r\n  \n").stdout
    assert "0 questions scored" in score(tmp_path, b"").stdout
    assert (tmp_path / "out.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "bad",
    [
        b'{"question_id": "q1"}',
        b'{"question_id": 5, "question": "?"}',
        b'{"question_id": "q1", "question": "cut off',
        b'{"question_id": "q1", "question": "caf\xe9"}',
        b"\xef\xbb\xbf{}",
        b"plain text",
        b"[]",
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(ConfigError, match=rf'{tmp_path}/asked.jsonl:2: .*; write {{"question_id"') as refused:
        score(tmp_path, lines(QUESTIONS[0]) + bad + b"\n")
    assert refused.value.__cause__ is not None
    assert not (tmp_path / "out.jsonl").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path}/none: cannot be read \(No such file.*pass a JSONL file"):
        list(read_questions(tmp_path / "none"))


@pytest.mark.parametrize(("output", "why"), [("", "Is a directory"), ("no/such/out.jsonl", "No such file")])
def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, output: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path}.*: cannot be written \({why}.*name another file"):
        score(tmp_path, lines(QUESTIONS[0]), output=output)


def test_a_folder_without_an_artefact_is_named(tmp_path: Path) -> None:
    (tmp_path / "asked.jsonl").write_bytes(lines(QUESTIONS[0]))
    options = ["--input", str(tmp_path / "asked.jsonl"), "--weak", WEAK, "--strong", STRONG]
    options += ["--output", str(tmp_path / "out.jsonl"), "--artefact", str(tmp_path)]
    with pytest.raises(
        ConfigError, match=rf"{tmp_path}: no readable headrace-quality artefact .*train --model quality`"
    ):
        RUNNER.invoke(app, ["score", *options], catch_exceptions=False)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("qwen2.5-coder-1.5b-instruct-int8", 1_543_714_304),
        ("llama-3.1-8b", 8 * 10**9),
        ("Mixtral-8x22B-v0.1", 176 * 10**9),
        ("phi-3.5b-mini", 3_500_000_000),
        ("moe-a2.7b", 0),
        ("smollm2:360m", 360_000_000),
        ("gpt-4-1106-preview", 0),
        ("", 0),
    ],
)
def test_the_size_is_from_the_catalogue_or_from_the_name(name: str, parameters: int) -> None:
    assert parameters_of(name) == parameters
