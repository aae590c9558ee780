import pytest
from msgspec.structs import replace

from headrace.contracts.chat import ChatCall
from headrace.contracts.policy import AllOf, AnyOf, Comparison, Not, Policy, QualityAtCost, Rule, Weighted
from headrace.contracts.routing import Features
from headrace.router.replay.decisions import Redecided, chain, moves, redecide, replanner, unseen_names
from headrace.router.replay.log import Step
from tests.support.replaying import lined, traffic
from tests.support.routing import auto, call, card, features, hard, policy


def again(chosen: Policy, logged: Policy, n: int = 60) -> list[Redecided]:
    return redecide(traffic(logged, n).entries, replanner(chosen, lambda _model, _domain: True))


def test_the_same_policy_decides_the_same() -> None:
    decided = again(lined(), lined())
    assert all(one.stays == 1.0 for one in decided)
    assert moves(decided) == []


def test_a_judged_chain_comes_out_of_the_log_as_it_went_in() -> None:
    assert all(one.stays == 1.0 for one in again(policy(), policy()))


def test_a_rule_by_another_name_is_no_change() -> None:
    assert moves(again(lined(rule="difficult"), lined())) == []


def test_moves_count_what_goes_where_and_name_decisions() -> None:
    logged = traffic(lined(0.6), 60)
    decided = redecide(logged.entries, replanner(lined(0.3), lambda _model, _domain: True))
    (move,) = moves(decided, examples=2)
    between = [entry.decision for entry in logged.entries if 0.3 < entry.features.difficulty <= 0.6]
    assert (move.old_rule, move.old, move.new_rule, move.new) == ("default", "small", "hard", "large")
    assert move.requests == len(between)
    assert list(move.examples) == between[:2]


def test_a_strategys_choices_have_its_probabilities() -> None:
    split = policy(
        auto(select=(Rule("default", None, Weighted({"small": 0.9, "large": 0.1})),), on_low_confidence=None)
    )
    for one in again(split, lined(), 5):
        assert {choice.steps[0].tier: choice.probability for choice in one.choices} == pytest.approx(
            {"small": 0.9, "large": 0.1}
        )


def test_choices_that_lead_to_the_same_first_tier_are_one() -> None:
    shares = Weighted({"small": 0.2, "middle": 0.5, "large": 0.3})
    split = policy(auto(select=(Rule("default", None, shares),)), tiers=("small", "middle", "large"))
    untrusted = replanner(split, lambda model, _domain: model == "middle-model")
    (one,) = redecide(traffic(lined(), 1).entries, untrusted)
    assert {c.steps[0].tier: c.probability for c in one.choices} == pytest.approx({"middle": 0.5, "large": 0.5})


def test_a_request_the_new_policy_refuses_is_told_and_not_lost() -> None:
    narrow = policy(cards={f"{tier}-backend": card(f"{tier}-model", context_tokens=8) for tier in ("small", "large")})
    decided = again(narrow, lined(), 3)
    assert all(one.refusal.startswith("refused: ") and one.stays == 0.0 for one in decided)
    assert sum(move.requests for move in moves(decided)) == 3


def test_tools_and_json_are_needed_again() -> None:
    seen: list[ChatCall] = []

    def refuse(asked: ChatCall, _: Features) -> tuple[()]:
        seen.append(asked)
        return ()

    redecide(traffic(lined(), 1).entries, refuse)
    assert (seen[0].tools, seen[0].wants_json, seen[0].model) == ((), False, call().model)


def test_a_chain_is_named_by_tiers_and_by_models_where_only_they_differ() -> None:
    old = (Step("small", "a", judged=True), Step("large", "b", judged=False))
    assert chain(old, ()) == "small? > large"
    assert chain(old, (Step("small", "c", judged=True), old[1])) == "small (a)? > large (b)"
    assert chain((Step("small", "a", judged=False),), (Step("small", "a", judged=True),)) == "small"


def test_names_that_no_record_carries_are_found_in_any_condition() -> None:
    team, region = Comparison("header", "eq", "a", "x-team"), Comparison("metadata", "eq", "eu", "region")
    when = AllOf((hard(), AnyOf((team, Not(region)))))
    asked = policy(auto(select=(Rule("odd", when, "large"), Rule("default", None, "small"))))
    assert unseen_names(asked, traffic(lined(), 2).entries) == ["header x-team", "metadata region"]
    assert unseen_names(lined(), traffic(lined(), 2).entries) == []


def test_features_are_those_the_log_tells() -> None:
    (entry,) = traffic(lined(), 1).entries
    seen: list[Features] = []

    def note(_: ChatCall, found: Features) -> tuple[()]:
        seen.append(found)
        return ()

    redecide([entry], note)
    assert seen[0].difficulty == entry.features.difficulty
    assert (seen[0].tenant, seen[0].domain) == ("research", features().domain)


def test_quality_that_was_predicted_is_compared_again() -> None:
    value = policy(auto(on_low_confidence=None, select=(Rule("value", None, QualityAtCost(0.0)),)))
    (entry,) = traffic(lined(), 1).entries
    known = replace(entry.features, quality={"small-backend": 0.9, "large-backend": 0.1})
    seen = [entry, replace(entry, features=known)]
    told = redecide(seen, replanner(value, lambda _model, _domain: True))
    assert [one.choices[0].steps[0].tier for one in told] == ["large", "small"]
