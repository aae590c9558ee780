from dataclasses import replace
from decimal import Decimal

import pytest
from msgspec.structs import replace as replace_struct

from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import Comparison, LowConfidence, Policy, Probe, Rule, Tier, VirtualModel, Weighted
from headrace.contracts.routing import Difficulty
from headrace.router.cascade.acceptance import CalibratedJudge, ModelCalibration
from headrace.router.training.compose import Composer, Spent, cards_by_model, cost_of, oracle, random_mix, single
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
def composer() -> Composer:
    return Composer(POLICY, "auto", ByLength(), judge())


def test_a_confident_draft_is_kept_and_only_it_is_paid(composer: Composer) -> None:
    result = composer.cascade(entry("short", answer(correct=True, logprob=-5, tokens=6)))
    assert (result.model, result.drafts, result.right) == ("small", 0, True)
    assert result.cost_microusd == 10 * 1 + 6 * 10


def test_an_unsure_draft_is_paid_up_to_the_commit_point(composer: Composer) -> None:
    result = composer.cascade(entry("short", answer(correct=False, logprob=-300, tokens=50)))
    assert (result.model, result.drafts, result.right) == ("large", 1, True)
    assert result.cost_microusd == (10 * 1 + 32 * 10) + (10 * 10 + 5 * 100)
    assert result.seconds == 32 + 5
    assert result.spent == (Spent("small", 10, 32), Spent("large", 10, 5))


def test_an_unsure_short_answer_is_judged_whole(composer: Composer) -> None:
    result = composer.cascade(entry("short", answer(correct=False, logprob=-300, tokens=4)))
    assert (result.model, result.drafts) == ("large", 1)
    assert result.seconds == 4 + 5


def test_a_hard_question_goes_to_the_large_model_without_a_draft(composer: Composer) -> None:
    hard = entry("a question that is long enough to be hard", answer(correct=False, logprob=-5, tokens=6))
    assert composer.cascade(hard) == composer.rules_only(hard) == single(hard, LARGE)


def test_the_oracle_takes_the_cheapest_right_answer() -> None:
    wrong, right = answer(correct=False, logprob=-5, tokens=6), answer(correct=True, logprob=-5, tokens=6)
    assert oracle(entry("q", right), (SMALL, LARGE)).model == "small"
    assert oracle(entry("q", wrong), (SMALL, LARGE)).model == "large"
    assert oracle(entry("q", wrong, wrong), (SMALL, LARGE)).model == "small"


def test_a_cost_counts_the_prompt_and_what_was_read() -> None:
    one = answer(correct=True, logprob=-5, tokens=6)
    assert cost_of(cards_by_model(POLICY)["large"], one) == 10 * 10 + 6 * 100
    assert cost_of(LARGE, one, 2) == 10 * 10 + 2 * 100


def test_the_coin_of_equal_cost_stays_between_its_ends() -> None:
    assert random_mix((1.0, 11.0), 6.0, (0.2, 0.8)) == pytest.approx(0.5)
    assert random_mix((1.0, 11.0), 99.0, (0.2, 0.8)) == 0.8


def test_rules_that_draw_lots_draw_the_number_of_the_question() -> None:
    model = replace(POLICY.virtual_models["auto"], select=(Rule("half", None, Weighted({"small": 0.5, "large": 0.5})),))
    drawing = Composer(replace(POLICY, virtual_models={"auto": model}), "auto", ByLength(), judge())
    entries = [entry(f"q{number}", answer(correct=True, logprob=-5, tokens=6)) for number in range(60)]
    found = [drawing.rules_only(one).model for one in entries]
    assert found == [drawing.rules_only(one).model for one in entries]
    assert 15 < found.count("small") < 45


def panelled(agreement: dict[str, int], *, small: int = -5, large: int = -300) -> Entry:
    weak = answer(correct=True, logprob=small, tokens=10)
    strong = replace_struct(answer(correct=False, logprob=large, tokens=40), agreement=agreement)
    return entry("short", weak, strong)


def test_a_panel_pays_everybody_and_waits_for_the_slowest(composer: Composer) -> None:
    one = panelled({"small": 0})
    found = composer.panel(one, (SMALL, LARGE), "best_confidence")
    assert found.cost_microusd == single(one, SMALL).cost_microusd + single(one, LARGE).cost_microusd
    assert (found.seconds, found.drafts) == (40.0, 0)
    assert [each.model for each in found.spent] == ["small", "large"]


def test_the_surest_of_a_panel_answers(composer: Composer) -> None:
    assert composer.panel(panelled({"small": 0}), (SMALL, LARGE), "best_confidence").model == "small"


def test_a_majority_of_a_panel_answers(composer: Composer) -> None:
    third = replace(LARGE, id="third")
    one = panelled({"small": 0})
    agreeing = replace_struct(one.answers["large"], agreement={"small": 0, "large": 100})
    three = replace_struct(one, answers={**one.answers, "third": agreeing})
    assert composer.panel(three, (SMALL, LARGE, third), "vote").model == "large"
    apart = replace_struct(agreeing, agreement={"small": 0, "large": 99})
    three = replace_struct(one, answers={**one.answers, "third": apart})
    assert composer.panel(three, (SMALL, LARGE, third), "vote").model == "small"
