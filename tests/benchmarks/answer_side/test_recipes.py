import numpy as np
import pytest

from benchmarks.answer_side.recipes import PRESENT, RECIPES, cases, cross_fitted, present, right, rising
from headrace.router.training.answer_metrics import auroc, brier, measured
from headrace.router.training.calibrate import fit
from headrace.router.training.risk_control import score
from headrace.router.training.table import Answer, Doubt, Entry


def entry(number: int, kind: str, *, correct: bool, logprob: int) -> Entry:
    answer = Answer(
        correct=correct,
        finish_reason="stop",
        prompt_tokens=5,
        tokens=40,
        seconds=1.0,
        evidence=[logprob - number % 5] * 40,
        early_ms=[],
        doubts=[Doubt(-logprob, -logprob, 100, 100)] * 5,
    )
    return Entry(f"{kind}{number}", kind, "?", as_json=False, origin="", license="", answers={"m": answer})


@pytest.fixture
def table() -> list[Entry]:
    """Facts: sure when right. Sums: just as sure, never right."""
    facts = [entry(n, "fact", correct=n % 2 == 0, logprob=-10 if n % 2 == 0 else -150) for n in range(80)]
    return [*facts, *(entry(n, "gsm8k_few", correct=False, logprob=-10) for n in range(40))]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_gives_a_probability_to_every_case(name: str, table: list[Entry]) -> None:
    known = cases(table, "m")
    chance = cross_fitted(RECIPES[name], known)
    assert chance.shape == (len(known),)
    assert np.all((chance >= 0.0) & (chance <= 1.0))


def test_telling_domains_apart_beats_one_curve(table: list[Entry]) -> None:
    known = cases(table, "m")
    apart, pooled, trivial = (
        measured(brier, cross_fitted(RECIPES[name], known), right(known))
        for name in (PRESENT, "one curve over all domains", "share right of the domain (trivial)")
    )
    assert apart < pooled
    assert apart < trivial


def test_the_present_recipe_is_what_the_shipped_judge_says(table: list[Entry]) -> None:
    known = cases(table, "m")
    shipped = [one.whole for one in score(table, fit(table))]
    assert present(known, known).tolist() == pytest.approx(shipped)


def test_shuffled_labels_teach_nothing(table: list[Entry]) -> None:
    facts = cases(table[:80], "m")
    rng = np.random.default_rng(2)
    seen = [measured(auroc, cross_fitted(present, facts), rng.permutation(right(facts))) for _ in range(20)]
    assert 0.4 < float(np.mean(seen)) < 0.6


def test_a_rising_fit_pools_what_falls() -> None:
    levels, values = rising(np.array([3.0, 1.0, 2.0, 4.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert levels.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert values.tolist() == [0.0, 0.5, 0.5, 1.0]
