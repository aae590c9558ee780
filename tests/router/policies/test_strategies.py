import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.policy import (
    Affinity,
    BudgetPacing,
    Canary,
    Epsilon,
    Latency,
    LowConfidence,
    Policy,
    Probe,
    QualityAtCost,
    Rule,
    Strategy,
    Weighted,
)
from headrace.contracts.routing import Plan, PreviousTurn
from headrace.router.policies.planner import make_plan
from headrace.router.policies.strategies import keeps, pick, reach, sticky_draw
from tests.support.routing import TIERS, auto, call, features, hard, policy

SHARES = Weighted({"small": 0.7, "middle": 0.2, "large": 0.1})
EXPLORE = Epsilon("small", 0.3)
DEADLINE = Latency("middle", 2.0)
BUDGET = BudgetPacing("large", "small", 1_000_000, 86_400)
STRATEGIES: list[Strategy] = [SHARES, EXPLORE, Canary("small", "large", 0.05), QualityAtCost(0.5), DEADLINE, BUDGET]
DRAWS = [(i + 0.5) / 1000 for i in range(1000)]


def using(strategy: Strategy, *, affinity: Affinity | None = None, low: LowConfidence | None = None) -> Policy:
    """Return a policy of three tiers with one rule; without on_low_confidence unless given."""
    model = auto(
        select=(Rule("only", None, strategy),), on_low_confidence=low, affinity=affinity or Affinity("none", 0.1)
    )
    return policy(model, tiers=TIERS)


def plan(
    rules: Policy,
    draw: float | None = None,
    *,
    down: frozenset[str] = frozenset(),
    affinity: str = "",
    calibrated: bool = True,
    previous: PreviousTurn | None = None,
    **signals: object,
) -> Plan:
    return make_plan(
        rules,
        call(),
        features(**signals),
        is_live=lambda backend: backend.removesuffix("-backend") not in down,
        is_calibrated=lambda _model, _domain: calibrated,
        previous=previous,
        draw=draw,
        affinity=affinity,
    )


def shares_of(rules: Policy, down: frozenset[str] = frozenset()) -> dict[str, float]:
    """Return how often each tier stands first over evenly spaced draws."""
    counts = Counter(plan(rules, draw, down=down).targets[0].tier for draw in DRAWS)
    return {tier: count / len(DRAWS) for tier, count in counts.items()}


def test_a_weighted_split_gives_each_tier_its_share_and_logs_it() -> None:
    assert shares_of(using(SHARES)) == {"small": 0.7, "middle": 0.2, "large": 0.1}
    made = plan(using(SHARES), 0.95)
    assert (made.targets[0].tier, made.rule) == ("large", "only")
    assert made.propensity == pytest.approx(0.1)
    assert made.scores == pytest.approx({"small": 0.7, "middle": 0.2, "large": 0.1})
    assert "weighted (small 0.7, middle 0.2, large 0.1); 0.9500 was drawn, so 'large'" in made.reason


def test_a_tier_that_is_down_leaves_its_share_to_the_others_in_proportion() -> None:
    down = frozenset({"small"})
    found = plan(using(SHARES), 0.1, down=down)
    assert found.chances == pytest.approx({"middle": 2 / 3, "large": 1 / 3})
    assert found.propensity == pytest.approx(2 / 3)
    assert shares_of(using(SHARES), down) == pytest.approx({"middle": 2 / 3, "large": 1 / 3}, abs=0.001)


def test_a_split_whose_tiers_are_all_down_goes_where_its_heaviest_would_have_gone() -> None:
    made = plan(using(Weighted({"small": 1.0, "large": 0.0})), 0.5, down=frozenset({"small"}))
    assert (made.targets[0].tier, made.propensity) == ("middle", 1.0)


def test_a_canary_is_a_split_in_two() -> None:
    rules = using(Canary("small", "large", 0.05))
    assert shares_of(rules) == {"small": 0.95, "large": 0.05}
    assert plan(rules, 0.99).propensity == pytest.approx(0.05)


def test_epsilon_logs_its_exact_probability_for_the_named_tier_and_the_others() -> None:
    assert plan(using(EXPLORE), 0.1).propensity == pytest.approx(0.7 + 0.3 / 3)
    assert plan(using(EXPLORE), 0.99).propensity == pytest.approx(0.3 / 3)
    assert shares_of(using(EXPLORE)) == pytest.approx({"small": 0.8, "middle": 0.1, "large": 0.1}, abs=0.001)


def test_epsilon_explores_among_the_able_tiers_around_the_one_that_stands_in() -> None:
    found = plan(using(EXPLORE), 0.0, down=frozenset({"small"})).chances
    assert found == pytest.approx({"middle": 0.7 + 0.15, "large": 0.15})


def test_quality_at_cost_buys_quality_until_it_is_too_dear() -> None:
    def chosen(price: float, difficulty: float) -> str:
        return plan(using(QualityAtCost(price)), difficulty=difficulty).targets[0].tier

    assert chosen(0.0, 0.5) == "large"
    assert chosen(0.0, 0.0) == "small"  # nothing to gain: the cheapest of equals
    assert chosen(1000.0, 0.9) == "small"
    assert plan(using(QualityAtCost(0.5))).propensity == 1.0


def test_quality_at_cost_shows_quality_minus_cost_in_milli_usd() -> None:
    made = plan(using(QualityAtCost(0.5)), difficulty=0.4)
    # 10 prompt tokens and 256 answer tokens at 1 and 2 USD per million: 522 micro-USD, ten times as much a tier up.
    assert made.scores == pytest.approx(
        {"small": 0.6 - 0.5 * 0.522, "middle": 0.8 - 0.5 * 5.22, "large": 1 - 0.5 * 52.2}
    )
    assert made.targets[0].tier == "small"


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(deadline=None)
@given(down=st.sets(st.sampled_from(TIERS), max_size=2), draw=st.floats(0, 1, exclude_max=True))
def test_chances_add_up_to_one_over_able_tiers_and_hold_the_propensity(
    strategy: Strategy, down: set[str], draw: float
) -> None:
    made = plan(using(strategy), draw, down=frozenset(down))
    assert math.fsum(made.chances.values()) == pytest.approx(1.0)
    assert down.isdisjoint(made.chances)
    assert made.propensity == pytest.approx(made.chances[made.targets[0].tier])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(TIERS), st.floats(0.01, 1), min_size=1), st.floats(0, 1, exclude_max=True))
def test_any_weights_are_split_exactly(weights: dict[str, float], draw: float) -> None:
    total = math.fsum(weights.values())
    shares = {tier: weight / total for tier, weight in weights.items()}
    made = plan(using(Weighted(shares)), draw)
    assert made.propensity == pytest.approx(shares[made.targets[0].tier])


def test_a_number_past_the_rounded_end_falls_to_the_last_tier() -> None:
    assert pick({"small": 0.1, "large": 0.2}, 0.99) == "large"


def test_a_conversation_keeps_its_side_whatever_is_drawn() -> None:
    rules = using(SHARES, affinity=Affinity("conversation", 0.1))
    for key in ("a", "b", "c", "d"):
        assert len({plan(rules, draw, affinity=key).targets[0].tier for draw in DRAWS[::100]}) == 1


def test_conversations_split_by_the_weights() -> None:
    rules = using(SHARES, affinity=Affinity("user", 0.1))
    counts = Counter(plan(rules, affinity=f"user {i}").targets[0].tier for i in range(4000))
    deviation = math.sqrt(4000 * 0.7 * 0.3)
    assert abs(counts["small"] - 2800) < 4 * deviation


def test_without_affinity_the_key_decides_nothing() -> None:
    assert plan(using(SHARES), 0.95, affinity="a").targets[0].tier == "large"
    assert plan(using(SHARES), 0.05, affinity="a").targets[0].tier == "small"


def test_the_sticky_number_follows_revision_and_key_and_stays_below_one() -> None:
    assert sticky_draw("r1", "a") == sticky_draw("r1", "a")
    assert len({sticky_draw("r1", "a"), sticky_draw("r2", "a"), sticky_draw("r1", "b")}) == 3
    assert all(0 <= sticky_draw("r", str(i)) < 1 for i in range(1000))


def test_a_plan_without_a_number_says_so() -> None:
    assert "nothing is drawn here, 0.5 is taken" in plan(using(SHARES)).reason
    assert "drawn" not in plan(using(QualityAtCost(0.5))).reason


def test_a_conversation_that_stays_has_no_chance_left() -> None:
    rules = using(SHARES, affinity=Affinity("conversation", 0.1))
    made = plan(rules, turns=2, previous=PreviousTurn("middle", 0.1), affinity="a")
    assert (made.targets[0].tier, made.propensity, made.chances) == ("middle", 1.0, {"middle": 1.0})


def test_a_draft_that_is_left_gives_its_chance_to_the_tier_behind_it() -> None:
    low = LowConfidence(Probe(), 0.05, ("large",))
    made = plan(using(SHARES, low=low), 0.1, calibrated=False, difficulty=0.4)
    assert [target.tier for target in made.targets] == ["large"]
    assert made.propensity == 1.0
    assert made.scores["large"] == pytest.approx(0.1)


def test_escalation_begins_at_the_chosen_tier() -> None:
    low = LowConfidence(Probe(), 0.05, ("middle", "large"))
    assert [target.tier for target in plan(using(SHARES, low=low), 0.75).targets] == ["middle", "large"]


def test_a_rule_that_names_a_tier_draws_nothing() -> None:
    made = plan(policy(), 0.99)
    assert (made.propensity, made.chances, made.scores) == (1.0, {}, {})


def test_a_rule_with_a_strategy_matches_like_any_other() -> None:
    rules = policy(auto(select=(Rule("hard", hard(), SHARES), Rule("default", None, "small"))), tiers=TIERS)
    assert plan(rules, 0.95, difficulty=0.9).rule == "hard"
    assert plan(rules, 0.95, difficulty=0.1).targets[0].tier == "small"


def test_reach_is_every_tier_a_rule_can_choose() -> None:
    assert reach("small", TIERS) == ("small",)
    assert reach(Weighted({"small": 1.0, "large": 0.0}), TIERS) == ("small",)
    assert reach(Canary("small", "large", 0.1), TIERS) == ("small", "large")
    assert reach(EXPLORE, TIERS) == reach(QualityAtCost(1.0), TIERS) == TIERS
    assert reach(DEADLINE, TIERS) == ("small", "middle")
    assert reach(Latency("lage", 1.0), TIERS) == ("lage",)
    assert reach(BUDGET, TIERS) == ("small", "large")


def test_a_strategy_moves_no_conversation_from_a_tier_it_might_choose() -> None:
    assert not keeps("small", "small")
    assert keeps(SHARES, "middle")
    assert not keeps(Weighted({"small": 1.0}), "middle")
    assert keeps(Canary("small", "large", 0.1), "large")
    assert keeps(EXPLORE, "small")
    assert not keeps(EXPLORE, "middle")
    assert keeps(QualityAtCost(0.5), "middle")
    assert keeps(BUDGET, "small")
    assert not keeps(BUDGET, "middle")
    assert not keeps(DEADLINE, "small")
