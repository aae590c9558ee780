from pathlib import Path

import pytest

from headrace.router.training.corpus import read_source
from headrace.router.training.evaluate import LENGTH, Evaluation, evaluate


@pytest.fixture
def evaluation(data: Path) -> Evaluation:
    examples = read_source(data, "routellm_mmlu")
    others = read_source(data, "zeroeval_gsm")
    folds = [one.fold for one in examples]
    return evaluate("MMLU", examples, others, subject_fold=folds, resamples=20, shuffles=2)


def test_every_control_stands_beside_the_recipe(evaluation: Evaluation) -> None:
    assert set(evaluation.routers) == {
        LENGTH,
        "random (one draw)",
        "subject mean",
        "TF-IDF ridge",
        "difficulty recipe, this pair",
        "difficulty recipe, as shipped",
        "oracle",
    }
    assert evaluation.held_out_subjects is not None
    assert (evaluation.weak, evaluation.strong) == (0.5, 1.0)


def test_the_recipe_finds_what_is_there_to_find(evaluation: Evaluation) -> None:
    oracle = evaluation.routers["oracle"].apgr.value
    for name in ("difficulty recipe, this pair", "difficulty recipe, as shipped"):
        assert evaluation.routers[name].apgr.value == pytest.approx(oracle, abs=0.02)


def test_shuffled_labels_teach_nothing_dependable(evaluation: Evaluation) -> None:
    assert evaluation.shuffled.low <= evaluation.shuffled.value <= evaluation.shuffled.high
    assert evaluation.shuffled.value < evaluation.routers["oracle"].apgr.value


def test_a_set_of_one_subject_has_no_subject_mean(data: Path) -> None:
    examples = [one for one in read_source(data, "routellm_gsm8k") if one.subject == "mmlu"]
    mixed = [*examples[:20]]
    found = evaluate("GSM8K", mixed, (), resamples=5, shuffles=1)
    assert "subject mean" not in found.routers
