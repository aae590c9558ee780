import pytest

from headrace.contracts.policy import Canary, Experts, QualityAtCost, Rule, VirtualModel
from headrace.router.policies.candidates import Candidate, candidates
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask
from tests.support.routing import CHAT, auto, call, card, features, policy, tool

QUALITY = {"small-backend": 0.4, "large-backend": 0.8}


def listed(model: VirtualModel, made: Ask | None = None, **signals: object) -> tuple[Candidate, ...]:
    made = made or ask(model, **signals)
    return candidates(made, decide(made))


def ask(model: VirtualModel, **signals: object) -> Ask:
    return Ask(
        policy(model), call(), features(**signals), is_live=lambda _: True, is_calibrated=lambda _model, _domain: True
    )


def test_every_tier_has_its_backend_with_quality_and_cost() -> None:
    small, large = listed(auto(), quality=QUALITY)
    assert (small.backend, small.quality, small.basis) == ("small-backend", 0.4, "quality model")
    assert (large.tier, large.model) == ("large", "large-model")
    assert large.cost_microusd == pytest.approx(10 * small.cost_microusd, rel=0.01)
    assert (small.chance, small.score) == (None, None)


def test_without_a_quality_model_quality_is_told_from_difficulty() -> None:
    small, large = listed(auto(), difficulty=0.3)
    assert (small.basis, small.quality, large.quality) == ("difficulty", pytest.approx(0.7), 1.0)


def test_a_strategy_gives_scores_and_chances() -> None:
    split = listed(auto(select=(Rule("d", None, Canary("small", "large", 0.1)),)))
    assert [each.chance for each in split] == [pytest.approx(0.9), pytest.approx(0.1)]
    priced = listed(auto(select=(Rule("d", None, QualityAtCost(0.0)),), on_low_confidence=None), quality=QUALITY)
    assert [(each.score, each.chance) for each in priced] == [(0.4, 0.0), (0.8, 1.0)]


def test_experts_are_scored_by_backend() -> None:
    found = listed(auto(select=(Rule("d", None, Experts(2)),)), quality=QUALITY)
    assert [(each.backend, each.score) for each in found] == [("small-backend", 0.4), ("large-backend", 0.8)]


def test_a_specialist_that_experts_compare_is_listed_beside_its_tiers_default() -> None:
    model = auto(select=(Rule("d", None, Experts(2)),))
    rules = policy(model, cards={"coder": card("coder-model")}, large={"specialists": {"code": "coder"}})
    made = Ask(rules, call(), features(), is_live=lambda _: True, is_calibrated=lambda _model, _domain: True)
    assert {each.backend for each in candidates(made, decide(made))} == {"small-backend", "large-backend", "coder"}


def test_who_cannot_is_listed_with_the_reason() -> None:
    rules = policy(cards={"small-backend": card("small-model", capabilities=CHAT - {"tools"})})
    made = Ask(
        rules, call(tools=(tool(),)), features(), is_live=lambda _: True, is_calibrated=lambda _model, _domain: True
    )
    small, large = candidates(made, decide(made))
    assert "does not support tool calls" in small.why_left_out
    assert not large.why_left_out


def test_a_named_tier_has_no_candidates() -> None:
    made = Ask(
        policy(), call("headrace/large"), features(), is_live=lambda _: True, is_calibrated=lambda _model, _domain: True
    )
    assert candidates(made, decide(made)) == ()
