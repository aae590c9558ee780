from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.training.corpus import DATA_DIR_VARIABLE, data_dir, read_source


def test_the_data_folder_is_named_by_the_environment(data: Path) -> None:
    assert data_dir() == data


def test_a_missing_data_folder_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=DATA_DIR_VARIABLE):
        data_dir()


def test_the_gain_is_the_share_of_pairs_where_only_the_large_model_is_right(data: Path) -> None:
    examples = read_source(data, "zeroeval_gsm")
    assert len(examples) == 60
    assert {one.gain for one in examples if "polynomial" in one.text} == {1.0}
    assert {one.gain for one in examples if "fruit" in one.text} == {0.0}
    hard = next(one for one in examples if "polynomial" in one.text)
    assert (hard.small, hard.large, hard.advantage) == (0.0, 1.0, 1.0)


def test_large_answers_may_be_borrowed_from_another_source_by_group(data: Path) -> None:
    examples = read_source(data, "gsm8k_example_solutions")
    assert len(examples) == 60
    assert all(one.large == 1.0 for one in examples)
