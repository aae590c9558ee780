from pathlib import Path

import numpy as np
import pytest

from headrace.router.training.panels import OWN, own_panel, read_panel, read_panels
from headrace.router.training.roles import ROLES, Roles
from headrace.router.training.table import Answer, Entry
from tests.router.training.conftest import is_hard, write_lines

SMALL, LARGE = "smollm2-135m-instruct-int8", "qwen2.5-coder-1.5b-instruct-int8"


def entry(number: int, *, as_json: bool = False, **correct: bool) -> Entry:
    names = {"small": SMALL, "large": LARGE}
    answers = {names[role]: Answer(is_right, "stop", 9, 2, 1.0, [], []) for role, is_right in correct.items()}
    return Entry(f"q{number}", "fact", f"Question {number}?", as_json, "here", "MIT", answers)


def test_a_source_is_read_as_a_matrix_of_who_was_right(data: Path) -> None:
    panel = read_panel(data, "zeroeval_gsm")
    assert (panel.name, len(panel.texts), panel.right.shape) == ("zeroeval_gsm", 60, (60, len(panel.models)))
    assert panel.models[0] == "gemma-2-2b-it"
    hard = np.array([is_hard(number) for number in range(60)])
    weak, strong = panel.pair("gemma-2-2b-it", panel.models[1])
    assert (weak == ~hard).all()
    assert strong.all()
    assert (panel.gain == hard).all()
    assert set(panel.fold.tolist()) == {0, 1, 2, 3, 4}


def test_sizes_come_from_the_sources_list_of_models(data: Path) -> None:
    panel = read_panel(data, "routellm_mmlu")
    assert dict(zip(panel.models, panel.parameters, strict=True)) == {
        "mistralai/Mixtral-8x7B-Instruct-v0.1": 46_700_000_000,
        "gpt-4-1106-preview": 0,
    }


def test_the_best_of_the_panel_stands_in_where_the_large_role_is_another_sources(data: Path) -> None:
    panel = read_panel(data, "gsm8k_example_solutions")
    best = panel.right[:, panel.right.mean(axis=0).argmax()]
    assert (panel.gain == best - panel.pair("gpt3_6b_finetuning", "gpt3_6b_finetuning")[0]).all()


def test_a_model_with_too_few_answers_and_a_question_without_a_role_are_left_out(data: Path) -> None:
    home = data / "routing" / "bfcl_2024_08"
    answered = {"small": range(58), "large": range(60), "rare": range(56), "patchy": range(57)}
    rows = [
        {"question_id": f"bfcl_2024_08:{number}", "model": model, "correct": 1.0}
        for model, numbers in answered.items()
        for number in numbers
    ]
    write_lines(home / "outcomes.jsonl.gz", rows)
    panel = read_panel(data, "bfcl_2024_08", Roles(("small",), ("large",)))
    assert panel.models == ("small", "large", "patchy")
    assert panel.question_ids[-1] == "bfcl_2024_08:57"
    assert np.isnan(panel.right[57]).tolist() == [False, False, True]
    assert np.isfinite(panel.gain).all()


def test_rows_keep_everything_of_the_chosen_questions(data: Path) -> None:
    panel = read_panel(data, "zeroeval_crux")
    part = panel.rows(np.array([3, 1]))
    assert part.question_ids == (panel.question_ids[3], panel.question_ids[1])
    assert part.texts == (panel.texts[3], panel.texts[1])
    assert (part.groups, part.subjects) == (("g3", "g1"), ("trivia_qa", "trivia_qa"))
    assert (part.right == panel.right[[3, 1]]).all()
    assert (part.models, part.parameters) == (panel.models, panel.parameters)


def test_the_default_tiers_are_a_panel_of_plain_answers_that_all_gave() -> None:
    table = [
        entry(0, small=False, large=True),
        entry(1, small=True, large=True),
        entry(2, small=True, large=True, as_json=True),
        entry(3, small=True),
    ]
    panel = own_panel(table)
    assert (panel.name, panel.question_ids) == (OWN, ("q0", "q1"))
    assert panel.models == (LARGE, SMALL)
    assert panel.parameters == (1_540_000_000, 134_500_000)
    assert panel.gain.tolist() == [1.0, 0.0]
    assert panel.right.tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_every_source_with_roles_and_the_default_tiers_are_read(data: Path) -> None:
    panels = read_panels(data, [entry(0, small=False, large=True), entry(1, small=True, large=True)])
    assert [panel.name for panel in panels] == [*sorted(ROLES), OWN]


def test_an_unknown_model_of_a_pair_is_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        read_panel(data, "zeroeval_gsm").pair("gemma-2-2b-it", "nobody")
