from dataclasses import replace
from decimal import Decimal

import pytest

from headrace.contracts.models import Price
from headrace.contracts.policy import (
    Affinity,
    AllOf,
    Canary,
    Comparison,
    Epsilon,
    FailureRule,
    Limits,
    LowConfidence,
    Policy,
    Probe,
    QualityAtCost,
    Rule,
    Shadow,
    Strategy,
    Tier,
    VirtualModel,
    Weighted,
)
from headrace.router.policies.validate import Problem, problems
from tests.support.routing import auto, card, hard, policy

HERE = ("virtual_models", "headrace/auto")
DEFAULT = Rule("default", None, "small")


def only(checked: Policy) -> Problem:
    found = problems(checked)
    assert len(found) == 1, found
    return found[0]


def test_a_sound_policy_has_no_problem() -> None:
    rules = (
        FailureRule("again", ("timeout", "http_429", "http_418"), retries=1),
        FailureRule("next", ("any",), then=("large",)),
    )
    assert problems(policy(auto(on_failure=rules), aliases={"gpt": "headrace/auto"})) == []


def test_an_unknown_tier_is_named_with_the_nearest_one() -> None:
    found = only(policy(auto(select=(Rule("hard", hard(), "lage"), DEFAULT))))
    assert (found.path, found.nearest) == ((*HERE, "select", 0, "use"), "large")
    assert "small, large" in found.cure


@pytest.mark.parametrize(
    ("strategy", "path", "cure"),
    [
        (Weighted({"small": 0.5, "lage": 0.5}), ("tiers", "lage"), "small, large"),
        (Weighted({"small": 0.5, "large": 0.6}), ("tiers",), "add up to 1"),
        (Weighted({"small": float("nan"), "large": 0.5}), ("tiers", "small"), "from 0 to 1"),
        (Weighted({}), ("tiers",), "add up to 1"),
        (Canary("small", "lage", 0.1), ("to",), "small, large"),
        (Canary("smal", "large", 0.1), ("use",), "small, large"),
        (Canary("small", "small", 0.1), ("to",), "another tier"),
        (Canary("small", "large", 1.0), ("share",), "under 1"),
        (Epsilon("smal", 0.1), ("use",), "small, large"),
        (Epsilon("small", 0.0), ("epsilon",), "over 0"),
        (QualityAtCost(-1.0), ("lambda",), "0 or more"),
        (QualityAtCost(float("inf")), ("lambda",), "0 or more"),
    ],
)
def test_a_strategy_with_a_wrong_word_or_number_is_told(strategy: Strategy, path: tuple[str, ...], cure: str) -> None:
    found = problems(policy(auto(select=(Rule("default", None, strategy),), on_low_confidence=None)))
    assert found[0].path == (*HERE, "select", 0, "use", *path)
    assert cure in found[0].cure


def test_shares_may_miss_one_by_a_rounding_only() -> None:
    thirds = Weighted({"small": 0.3333333, "large": 0.6666667})
    assert problems(policy(auto(select=(Rule("default", None, thirds),)))) == []


def test_an_unreachable_rule_with_a_strategy_is_refused_too() -> None:
    rules = (Rule("a", hard(0.5), "large"), Rule("b", hard(0.7), Epsilon("large", 0.1)), DEFAULT)
    assert only(policy(auto(select=rules))).path == (*HERE, "select", 1)


def test_a_strategy_can_start_below_the_tiers_of_escalation() -> None:
    assert problems(policy(auto(select=(Rule("default", None, Epsilon("large", 0.1)),)))) == []
    always_large = Rule("default", None, Weighted({"small": 0.0, "large": 1.0}))
    assert "not stronger" in only(policy(auto(select=(always_large,)))).message


def test_an_unreachable_rule_is_refused_with_the_reason() -> None:
    found = only(policy(auto(select=(Rule("a", hard(0.5), "large"), Rule("b", hard(0.7), "large"), DEFAULT))))
    assert found.path == (*HERE, "select", 1)
    assert "rule 'a' above matches everything" in found.message


def test_the_last_rule_must_be_the_default() -> None:
    assert only(policy(auto(select=(Rule("hard", hard(), "large"),), on_low_confidence=None))).path == (*HERE, "select")


def test_a_default_before_the_end_is_refused() -> None:
    found = problems(policy(auto(select=(DEFAULT, Rule("hard", hard(), "large"), replace(DEFAULT, id="end")))))
    assert found[0].path == (*HERE, "select", 0)


def test_ids_are_unique() -> None:
    found = only(policy(auto(select=(Rule("default", hard(), "large"), DEFAULT))))
    assert found.path == (*HERE, "select", 1, "id")
    twice = replace(policy(), tiers=(Tier("small", "small-backend"), Tier("small", "large-backend")))
    assert ("tiers", 1, "id") in [each.path for each in problems(twice)]


@pytest.mark.parametrize(
    ("comparison", "end"),
    [
        (Comparison("domain", "gt", "a"), ("domain", "gt")),
        (Comparison("difficulty", "gt", "hard"), ("difficulty", "gt")),
        (Comparison("difficulty", "gt", float("nan")), ("difficulty", "gt")),
        (Comparison("tools", "eq", 1), ("tools", "eq")),
        (Comparison("domain", "eq", 3), ("domain", "eq")),
        (Comparison("domain", "in", "code"), ("domain", "in")),
        (Comparison("domain", "in", ()), ("domain", "in")),
        (Comparison("domain", "eq", ("code",)), ("domain", "eq")),
        (Comparison("header", "present", "yes", "x"), ("header", "x", "present")),
        (Comparison("header", "eq", "x"), ("header", "eq")),
        (Comparison("domain", "eq", "code", "name"), ("domain", "name", "eq")),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused_where_it_stands(
    comparison: Comparison, end: tuple[str, ...]
) -> None:
    found = problems(policy(auto(select=(Rule("odd", AllOf((hard(), comparison)), "large"), DEFAULT))))
    assert (*HERE, "select", 0, "when", "all", 1, *end) in [each.path for each in found]


def test_an_empty_group_is_refused() -> None:
    found = problems(policy(auto(select=(Rule("odd", AllOf(()), "large"), DEFAULT))))
    assert found[0].path == (*HERE, "select", 0, "when", "all")


def test_escalation_must_go_to_a_stronger_tier() -> None:
    low = LowConfidence(Probe(), 0.05, ("small",))
    found = only(policy(auto(on_low_confidence=low)))
    assert found.path == (*HERE, "on_low_confidence", "then", 0)
    assert "not stronger" in found.message


def test_escalation_is_bounded_and_goes_somewhere() -> None:
    low = LowConfidence(Probe(tokens=0, s=0), 1.5, ())
    paths = {each.path[3:] for each in problems(policy(auto(on_low_confidence=low)))}
    assert paths == {("max_risk",), ("probe", "tokens"), ("probe", "s"), ("then",)}


def test_a_failure_rule_names_known_errors_and_does_something() -> None:
    rules = (
        FailureRule("a", ("time-out",), retries=9),
        FailureRule("a", (), then=("lrge",)),
        FailureRule("c", ("any",)),
    )
    found = {each.path[3:]: each for each in problems(policy(auto(on_failure=rules)))}
    assert found[0, "errors", 0].nearest == "timeout"
    assert set(found) == {(0, "errors", 0), (0, "retries"), (1, "id"), (1, "errors"), (1, "then", 0), (2,)}


def test_limits_and_affinity_have_bounds() -> None:
    model = auto(limits=Limits(0, 0, 0), affinity=Affinity("user", 2))
    paths = {each.path[2:] for each in problems(policy(model))}
    assert paths == {
        ("limits", "max_attempts"),
        ("limits", "deadline_s"),
        ("limits", "max_cost_usd"),
        ("affinity", "switch_margin"),
    }


def test_an_unknown_backend_is_named_with_the_nearest_one() -> None:
    found = only(replace(policy(), tiers=(Tier("small", "small-backen"), Tier("large", "large-backend"))))
    assert (found.path, found.nearest) == (("tiers", 0, "default"), "small-backend")


def test_a_model_without_a_usable_price_is_refused() -> None:
    unpriced = replace(card("m"), price=Price(Decimal("nan"), Decimal(1)))
    found = only(policy(cards={"small-backend": unpriced}))
    assert found.path == ("tiers", 0, "default")
    assert "price" in found.message


def test_tiers_have_room() -> None:
    paths = [each.path for each in problems(policy(small={"concurrency": 0, "queue": -1}))]
    assert paths == [("tiers", 0, "concurrency"), ("tiers", 0, "queue")]


def test_aliases_lead_to_a_name_and_hide_none() -> None:
    aliases = {"a": "headrace/auti", "b": "a", "headrace/auto": "headrace/small"}
    found = {each.path[1]: each for each in problems(policy(aliases=aliases))}
    assert found["a"].nearest == "headrace/auto"
    assert set(found) == {"a", "b", "headrace/auto"}


def test_a_virtual_model_does_not_take_the_name_of_a_tier() -> None:
    model = VirtualModel("headrace/small", (DEFAULT,))
    assert only(policy(model)).path == ("virtual_models", "headrace/small")


def test_a_policy_without_tiers_or_models_says_so() -> None:
    assert [each.path for each in problems(Policy("r", (), {}, {}))] == [("tiers",), ("virtual_models",)]


@pytest.mark.parametrize(
    ("shadow", "key", "cure"),
    [
        (Shadow("lage", 0.1), "to", "small, large"),
        (Shadow("large", 0.0), "share", "over 0 up to 1"),
        (Shadow("large", 1.5), "share", "over 0 up to 1"),
        (Shadow("large", 0.1, 0), "max_in_flight", "1 or more"),
    ],
)
def test_a_shadow_that_cannot_be_cast_is_told(shadow: Shadow, key: str, cure: str) -> None:
    found = only(policy(auto(shadow=shadow)))
    assert found.path == (*HERE, "shadow", key)
    assert cure in found.cure


def test_a_sound_shadow_has_no_problem() -> None:
    assert problems(policy(auto(shadow=Shadow("large", 1.0)))) == []
