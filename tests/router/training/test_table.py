from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.training.table import PACKAGED, Answer, Doubt, Entry, Extra, models_of, read_table, write_table

ANSWER = Answer(
    correct=True,
    finish_reason="stop",
    prompt_tokens=9,
    tokens=2,
    seconds=1.5,
    evidence=[-13, -2],
    early_ms=[250, 260],
    doubts=[Doubt(1, 2, 300, 4)],
    samples=[Extra(correct=False, tokens=3, agreement=50)],
    stated=90,
    stated_tokens=(20, 2),
    agreement={"n": 100},
)
ENTRIES = [
    Entry("q1", "fact", "?", as_json=False, origin="here", license="MIT", answers={"m": ANSWER}),
    Entry("q2", "fact", "?", as_json=False, origin="here", license="MIT", answers={"n": ANSWER}, split="test"),
]


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    write_table(tmp_path / "one", ENTRIES)
    write_table(tmp_path / "two", ENTRIES)
    assert read_table(tmp_path / "one", split="calibration") == ENTRIES[:1]
    assert read_table(tmp_path / "one", split="test") == ENTRIES[1:]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_hundredths_are_read_as_natural_logs() -> None:
    assert ANSWER.logprobs == [-0.13, -0.02]


def test_models_are_named_in_order() -> None:
    assert models_of(ENTRIES) == ["m", "n"]


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"not gzip")
    for name in ("bad", "missing"):
        with pytest.raises(ConfigError, match="headrace router collect"):
            read_table(tmp_path / name, split="test")


def test_the_packaged_record_is_licensed_small_and_large_enough() -> None:
    calibration, test = (read_table(split=split) for split in ("calibration", "test"))
    assert len(calibration) >= 500
    assert len(test) >= 280
    every = [*calibration, *test]
    assert {one.license for one in every} == {"CC0-1.0", "MIT"}
    assert all(one.origin and one.text for one in every)
    assert len({one.question_id for one in every}) == len(every)
    texts = [{one.text for one in part} for part in (calibration, test)]
    assert not texts[0] & texts[1]
    assert PACKAGED.stat().st_size < 700_000
