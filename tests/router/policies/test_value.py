from dataclasses import replace
from decimal import Decimal

import pytest

from headrace.contracts.models import ModelCard, Price
from headrace.contracts.policy import (
    Affinity,
    BudgetPacing,
    LowConfidence,
    Policy,
    Probe,
    QualityAtCost,
    Rule,
    Strategy,
)
from headrace.contracts.routing import Pace, Plan, PreviousTurn, Target
from headrace.router.policies.planner import make_plan
from headrace.router.policies.survey import Ask
from headrace.router.policies.value import predicted_qualities
from tests.support.routing import TIERS, auto, call, card, features, policy

BUDGET = BudgetPacing("large", "small", 5_000_000, 86_400)
CONVERSATION = Affinity("conversation", 0.0)


def using(strategy: Strategy, *, tiers: tuple[str, ...] = TIERS, **fields: object) -> Policy:
    fields.setdefault("on_low_confidence", None)
    return policy(auto(select=(Rule("only", None, strategy),), **fields), tiers=tiers)


def plan(
    rules: Policy, pace: Pace | None = None, *, previous: PreviousTurn | None = None, down: str = "", **signals: object
) -> Plan:
    return make_plan(
        rules,
        call(),
        features(**signals),
        is_live=lambda backend: backend != f"{down}-backend",
        is_calibrated=lambda _model, _domain: True,
        previous=previous,
        pace=lambda model, rule: pace if (model, rule) == ("headrace/auto", "only") else None,
    )


def ask(rules: Policy, **signals: object) -> Ask:
    return Ask(rules, call(), features(**signals), lambda _: True, lambda _model, _domain: True)


def targets(cards: dict[str, ModelCard]) -> list[Target]:
    return [Target(name.removesuffix("-backend"), name, each, judged=False) for name, each in cards.items()]


def test_predicted_quality_lies_between_the_ends_by_the_logarithm_of_the_parameters() -> None:
    sizes = {"small": 100, "middle": 1_000, "large": 100_000}
    cards = {f"{tier}-backend": replace(card(tier), parameters=size) for tier, size in sizes.items()}
    found = predicted_qualities(ask(policy(tiers=TIERS, cards=cards), difficulty=0.6), targets(cards))
    assert list(found.values()) == pytest.approx([0.4, 1 - 0.6 * (2 / 3), 1.0])


def test_predicted_quality_takes_the_place_in_the_list_where_sizes_are_unknown() -> None:
    cards = {f"{tier}-backend": ModelCard("m", 1, frozenset(), Price(Decimal(0), Decimal(0))) for tier in TIERS}
    found = predicted_qualities(ask(policy(tiers=TIERS), difficulty=0.6), targets(cards))
    assert list(found.values()) == pytest.approx([0.4, 0.7, 1.0])


def test_a_prediction_for_every_backend_wins_over_the_difficulty() -> None:
    known = {"small-backend": 0.9, "middle-backend": 0.2, "large-backend": 0.5}
    made = plan(using(QualityAtCost(0.0)), difficulty=0.9, quality=known)
    assert (made.targets[0].tier, made.scores) == ("small", {"small": 0.9, "middle": 0.2, "large": 0.5})


def test_predictions_for_some_backends_are_not_mixed_with_the_relative_scale() -> None:
    made = plan(using(QualityAtCost(0.0)), difficulty=0.4, quality={"small-backend": 0.9})
    assert made.scores == pytest.approx({"small": 0.6, "middle": 0.8, "large": 1.0})


def test_a_full_bank_sends_to_the_named_tier_and_says_where_it_stands() -> None:
    made = plan(using(BUDGET), Pace(1_000_000, 1_250_000, 1.0), difficulty=0.0)
    assert (made.targets[0].tier, made.propensity) == ("large", 1.0)
    assert made.pace == Pace(1_000_000, 1_250_000, 1.0, 0.0)
    assert "budget ($1 spent of $1.25 allowed so far, lambda 0; small 1, large 1), so 'large'" in made.reason


def test_an_empty_bank_sends_to_the_cheaper_tier_whose_answer_is_final() -> None:
    low = LowConfidence(Probe(), 0.05, ("middle", "large"))
    made = plan(using(BUDGET, on_low_confidence=low), Pace(1_300_000, 1_250_000, -0.2), difficulty=0.9)
    assert [(target.tier, target.judged) for target in made.targets] == [("small", False)]
    assert "nothing is left" in made.reason


def test_the_emptier_the_bank_the_harder_a_question_must_be() -> None:
    def least(spare: float) -> float:
        return min(
            difficulty / 100
            for difficulty in range(101)
            if plan(using(BUDGET), Pace(0, 1, spare), difficulty=difficulty / 100).targets[0].tier == "large"
        )

    bars = [least(spare) for spare in (1.0, 0.75, 0.5, 0.25)]
    assert bars == sorted(bars)
    assert bars[0] == 0.0
    assert bars[-1] > bars[1] > 0.0


def test_what_a_milli_usd_must_buy_grows_as_the_money_runs_short() -> None:
    made = plan(using(BUDGET), Pace(0, 1, 0.5), difficulty=0.5)
    # 256 prompt and 256 answer tokens: 768 micro-USD on small, 76,800 on large; half of 1 over the difference.
    assert made.pace is not None
    assert made.pace.quality_per_milliusd == pytest.approx(0.5 / 76.032, abs=1e-6)


def test_a_budget_without_a_bank_counts_as_unspent() -> None:
    made = plan(using(BUDGET), None, difficulty=0.1)
    assert (made.targets[0].tier, made.pace) == ("large", Pace(0, 0, 1.0))


def test_equal_prices_need_no_budget() -> None:
    same = {f"{tier}-backend": card(f"{tier}-model") for tier in TIERS}
    rules = replace(using(BUDGET), cards=same)
    assert plan(rules, Pace(0, 1, 0.01), difficulty=0.1).targets[0].tier == "large"


def test_a_tier_of_the_budget_that_is_down_is_stood_in_for() -> None:
    assert plan(using(BUDGET), Pace(0, 1, -1.0), down="small").targets[0].tier == "middle"
    assert plan(using(BUDGET), Pace(0, 1, 1.0), down="large").targets[0].tier == "middle"


def test_a_switch_must_be_worth_more_than_the_warm_prefix_it_abandons() -> None:
    rules = using(QualityAtCost(0.0001), tiers=("small", "large"), affinity=CONVERSATION)
    signals = {"turns": 3, "prompt_tokens": 4_000, "difficulty": 0.006}
    cold = plan(rules, **signals)
    warm = plan(rules, previous=PreviousTurn("small", 0.5, 3_900), **signals)
    assert cold.targets[0].tier == "large"
    assert warm.targets[0].tier == "small"
    # 3,900 tokens at 10 USD per million are 39 milli-USD.
    assert cold.scores["large"] - warm.scores["large"] == pytest.approx(0.0001 * 39)
    assert cold.scores["small"] == warm.scores["small"]
    assert "leaving 'small' abandons 3900 warm tokens" in warm.reason


def test_no_conversation_stays_on_a_tier_that_an_empty_bank_bars() -> None:
    rules = using(BUDGET, affinity=Affinity("conversation", 1.0))
    made = plan(rules, Pace(2, 1, -1.0), previous=PreviousTurn("large", 0.1, 10), turns=2)
    assert made.targets[0].tier == "small"
