from pathlib import Path

import pytest

from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE
from headrace.router.explaining.nearest import FOLDER, load
from headrace.router.training.corpus import Example, read_lines, read_source
from headrace.router.training.nearest import MOST_CHARS, SOURCES, write_nearest
from tests.router.training.conftest import write_lines

LONG = "A very long question about ponds. " * 20


def example(source: str, number: int, text: str = "", **fields: float | None) -> Example:
    values: dict[str, float | None] = {"small": 0.25, "large": 1.0, "gain": 0.75, **fields}
    name = f"{source}:{number}"
    return Example(name, text or f"{LONG}{number}", source, "", "maths", name, 0, **values)  # type: ignore[arg-type]


def test_the_same_questions_give_the_same_bytes(data: Path, tmp_path: Path) -> None:
    examples = read_source(data, "routellm_mmlu")
    for name in ("one", "two"):
        write_nearest(examples, data, tmp_path / name)
    for file in (CARD_FILE, WEIGHTS_FILE):
        assert (tmp_path / "one" / FOLDER / file).read_bytes() == (tmp_path / "two" / FOLDER / file).read_bytes()


def test_texts_are_shortened_and_keep_source_and_outcome(data: Path, tmp_path: Path) -> None:
    write_nearest([example("routellm_gsm8k", 1)], data, tmp_path)
    index = load(tmp_path / FOLDER)
    assert index is not None
    (found,) = index.nearest(LONG)
    assert found.text == LONG[:MOST_CHARS]
    assert (found.question_id, found.source) == ("routellm_gsm8k:1", "routellm_gsm8k")
    assert (found.small, found.large) == (0.25, 1.0)


@pytest.mark.parametrize("source", ["llmrouter_ulab", "bfcl_2024_08", "labelled"])
def test_nothing_is_drawn_from_a_source_that_may_not_be_passed_on(data: Path, tmp_path: Path, source: str) -> None:
    card = write_nearest([example(source, 1), example("zeroeval_gsm", 1)], data, tmp_path)
    assert card["questions_by_source"] == {"zeroeval_gsm": 1}


def test_a_question_of_a_test_split_is_never_drawn(data: Path, tmp_path: Path) -> None:
    path = data / "routing" / "zeroeval_crux" / "questions.jsonl.gz"
    write_lines(
        path, [{**row, "split": "test" if row["question_id"].endswith(":1") else "train"} for row in read_lines(path)]
    )
    examples = [example("zeroeval_crux", number) for number in (1, 2)]
    recorded = Example("zeroeval_crux:1", "the same, recorded", "default_tiers", "", "code", "g", 0, 1.0, 1.0, 0.0)
    card = write_nearest([*examples, recorded], data, tmp_path)
    assert card["questions_by_source"] == {"zeroeval_crux": 1}


def test_the_large_role_of_the_own_record_was_not_asked(data: Path, tmp_path: Path) -> None:
    write_nearest([example("default_tiers", 1)], data, tmp_path)
    index = load(tmp_path / FOLDER)
    assert index is not None
    assert index.nearest(LONG)[0].large is None


def test_a_text_twice_is_drawn_once_and_no_more_than_the_share(data: Path, tmp_path: Path) -> None:
    most = SOURCES["zeroeval_gsm"][0]
    examples = [example("zeroeval_gsm", number) for number in range(most + 50)]
    assert write_nearest(examples, data, tmp_path)["questions"] == most
    twice = [example("zeroeval_gsm", number, "the same") for number in range(2)]
    assert write_nearest(twice, data, tmp_path)["questions"] == 1
