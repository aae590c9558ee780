from pathlib import Path

import pytest

from benchmarks.cascade.record import read_record, read_sizes, words
from headrace.router.cascade.extract import extract_answer


def test_active_parameters_count_and_undisclosed_sizes_are_left_out(data: Path) -> None:
    assert read_sizes(data, "sums") == {"small": 2.0, "large": 20.0}


def test_cost_is_size_times_characters(data: Path) -> None:
    record = read_record(data, "sums", ["small", "large"])
    assert record.models["large"].cost.tolist() == [200.0, 400.0, 600.0]
    assert record.group.tolist() == [0, 1, 0]


def test_answers_agree_in_one_spelling_and_a_missing_one_never_does(data: Path) -> None:
    spelled = read_record(data, "sums", ["small", "large"], extract_answer).models
    assert spelled["small"].agrees(spelled["large"]).tolist() == [True, False, False]
    literal = read_record(data, "sums", ["small", "large"]).models
    assert literal["small"].agrees(literal["large"]).tolist() == [False, False, False]


def test_a_model_without_every_outcome_is_refused(data: Path) -> None:
    with pytest.raises(KeyError):
        read_record(data, "sums", ["secret"])
    (data / "routing" / "sums" / "models.csv").write_text("model,params_b,active_params_b\nother,1,\n")
    with pytest.raises(ValueError, match="other: 3 questions without an outcome"):
        read_record(data, "sums", ["other"])


def test_words_compare_element_by_element() -> None:
    assert (words(["a", None]) == words(["a", "b"])).tolist() == [True, False]
