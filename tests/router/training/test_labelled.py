from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.training.labelled import SIZES, draw, read_labelled


def test_the_two_sets_never_share_a_question(data: Path) -> None:
    calibration, benchmark = draw(read_labelled(data))
    first = {one.question_id.removesuffix("#json") for one in calibration}
    assert not first & {one.question_id.removesuffix("#json") for one in benchmark}
    assert {one.split for one in calibration} == {"calibration"}
    assert {one.split for one in benchmark} == {"test"}


def test_the_draw_depends_on_ids_alone(data: Path) -> None:
    questions = read_labelled(data)
    assert draw(questions) == draw(list(reversed(questions)))


def test_each_kind_fills_its_place(data: Path) -> None:
    calibration, benchmark = draw(read_labelled(data))
    for kind in ("fact", "gsm8k_few"):
        first, second, third = SIZES[kind]
        drawn = [
            len([one for one in part if one.kind == kind and not one.as_json]) for part in (calibration, benchmark)
        ]
        assert drawn[1] == second
        assert first <= drawn[0] <= first + third


def test_some_easy_questions_have_json_twins(data: Path) -> None:
    calibration, benchmark = draw(read_labelled(data))
    twins = [one for one in [*calibration, *benchmark] if one.as_json]
    assert {one.split for one in twins} == {"calibration", "test"}
    assert {one.grader for one in twins} == {"contains_word"}


def test_every_question_has_an_origin_and_a_licence(data: Path) -> None:
    for one in read_labelled(data):
        assert all(one.origin)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="labelled"):
        read_labelled(tmp_path)
