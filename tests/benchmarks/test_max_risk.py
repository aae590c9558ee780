import pytest

from benchmarks.cascade_live import LARGE, SMALL
from benchmarks.max_risk import FIGURES, figures
from headrace.gateway.settings.load import load, packaged
from headrace.router.training.compose import Result
from headrace.router.training.table import Answer, Entry


def answer(*, correct: bool, tokens: int) -> Answer:
    return Answer(
        correct=correct, finish_reason="stop", prompt_tokens=0, tokens=tokens, seconds=1.0, evidence=[], early_ms=[]
    )


def entry(number: int, *, small: bool) -> Entry:
    answers = {SMALL: answer(correct=small, tokens=100), LARGE: answer(correct=True, tokens=100)}
    return Entry(f"q{number}", "fact", "?", as_json=False, origin="", license="", answers=answers)


def test_the_random_mix_is_the_one_of_equal_cost() -> None:
    policy = load(packaged()).policy
    entries = [entry(number, small=number < 2) for number in range(4)]
    large_cost = float(100 * policy.cards["coder-1.5b"].price.output_usd_per_mtok)
    kept = [Result(right=True, cost_microusd=0.0, seconds=1.0, model=SMALL) for _ in range(2)]
    cascade = [*kept, *(Result(right=True, cost_microusd=large_cost, seconds=1.0, model=LARGE) for _ in range(2))]
    found = dict(zip(FIGURES, figures(entries, cascade, policy), strict=True))
    assert found["right_percent"] == 100.0
    assert 50.0 < found["random_percent"] < 100.0
    assert found["minus_random_points"] == pytest.approx(100.0 - found["random_percent"])
    assert (found["kept"], found["right_when_kept_percent"]) == (2, 100.0)
