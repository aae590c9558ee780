from decimal import Decimal

import pytest

from benchmarks.cascade.replay import Replay, cards_by_model, cost_of, oracle, single, thresholded
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import Comparison, LowConfidence, Policy, Probe, Rule, Tier, VirtualModel
from headrace.contracts.routing import Difficulty
from headrace.router.cascade.acceptance import CalibratedJudge, ModelCalibration
from headrace.router.training.table import Answer, Entry


def card(name: str, price: int) -> ModelCard:
    abilities = frozenset({"stream", "logprobs"})
    return ModelCard(name, 2048, abilities, Price(Decimal(price), Decimal(10 * price)))  # type: ignore[arg-type]


SMALL, LARGE = card("small", 1), card("large", 10)
POLICY = Policy(
    revision="r",
    tiers=(Tier("small", "small"), Tier("large", "large")),
    virtual_models={
        "auto": VirtualModel(
            "auto",
            (Rule("hard", Comparison("difficulty", "gt", 0.5), "large"), Rule("default", None, "small")),
            LowConfidence(Probe(tokens=32), 0.2, ("large",)),
        )
    },
    cards={"small": SMALL, "large": LARGE},
)


class ByLength:
    def judge(self, text: str) -> Difficulty:
        return Difficulty(value=0.9 if len(text) > 20 else 0.1, domain="knowledge", unfamiliar=False)


def judge() -> CalibratedJudge:
    curve = {"slopes": [4.0, 0, 0, 0, 0], "levels": {"knowledge": 3.0}}
    curves = dict.fromkeys(("8", "16", "32", "whole"), curve)
    return CalibratedJudge({"small": ModelCalibration.read({"base": {"knowledge": 0.5}, "curves": curves})})


def answer(*, correct: bool, logprob: int, tokens: int) -> Answer:
    return Answer(
        correct=correct,
        finish_reason="stop",
        prompt_tokens=10,
        tokens=tokens,
        seconds=float(tokens),
        evidence=[logprob] * tokens,
        early_ms=[1000 * (at + 1) for at in range(min(tokens, 64))],
    )


def entry(text: str, small: Answer, large: Answer | None = None) -> Entry:
    strong = large or answer(correct=True, logprob=-10, tokens=5)
    return Entry(text, "fact", text, as_json=False, origin="", license="", answers={"small": small, "large": strong})


@pytest.fixture
def replay() -> Replay:
    return Replay(POLICY, "auto", ByLength(), judge())


def test_a_confident_draft_is_kept_and_only_it_is_paid(replay: Replay) -> None:
    result = replay.cascade(entry("short", answer(correct=True, logprob=-5, tokens=6)))
    assert (result.model, result.drafts, result.right) == ("small", 0, True)
    assert result.cost_microusd == 10 * 1 + 6 * 10


def test_an_unsure_draft_is_paid_up_to_the_commit_point(replay: Replay) -> None:
    result = replay.cascade(entry("short", answer(correct=False, logprob=-300, tokens=50)))
    assert (result.model, result.drafts, result.right) == ("large", 1, True)
    assert result.cost_microusd == (10 * 1 + 32 * 10) + (10 * 10 + 5 * 100)
    assert result.seconds == 32 + 5


def test_an_unsure_short_answer_is_judged_whole(replay: Replay) -> None:
    result = replay.cascade(entry("short", answer(correct=False, logprob=-300, tokens=4)))
    assert (result.model, result.drafts) == ("large", 1)
    assert result.seconds == 4 + 5


def test_a_hard_question_goes_to_the_large_model_without_a_draft(replay: Replay) -> None:
    hard = entry("a question that is long enough to be hard", answer(correct=False, logprob=-5, tokens=6))
    assert replay.cascade(hard) == replay.rules_only(hard) == single(hard, LARGE)


def test_the_oracle_takes_the_cheapest_right_answer() -> None:
    wrong, right = answer(correct=False, logprob=-5, tokens=6), answer(correct=True, logprob=-5, tokens=6)
    assert oracle(entry("q", right), (SMALL, LARGE)).model == "small"
    assert oracle(entry("q", wrong), (SMALL, LARGE)).model == "large"
    assert oracle(entry("q", wrong, wrong), (SMALL, LARGE)).model == "small"


def test_the_best_rule_stays_within_its_budget() -> None:
    wrong = answer(correct=False, logprob=-5, tokens=6)
    entries = [entry(f"q{number}", wrong) for number in range(10)]
    budget = 0.5 * cost_of(LARGE, entries[0].answers["large"]) + 0.5 * cost_of(SMALL, wrong)
    chosen = thresholded(entries, lambda one: float(one.text[1:]), SMALL, LARGE, budget)
    assert [one.model for one in chosen] == ["small"] * 5 + ["large"] * 5
    assert cards_by_model(POLICY)["large"] is LARGE
