import pytest

from headrace.contracts.errors import InvalidRequest, NotFound
from headrace.contracts.policy import Affinity, Comparison, FailureRule, Limits, LowConfidence, Policy, Probe, Rule
from headrace.contracts.routing import Plan, PreviousTurn
from headrace.router.policies.planner import NOT_CALIBRATED, make_plan
from tests.support.routing import CHAT, auto, call, card, features, hard, policy, tool

STICKY = policy(auto(affinity=Affinity("conversation", 0.1)))


def plan(
    rules: Policy | None = None,
    *,
    model: str = "headrace/auto",
    asked: dict[str, object] | None = None,
    down: frozenset[str] = frozenset(),
    calibrated: bool = True,
    previous: PreviousTurn | None = None,
    **signals: object,
) -> Plan:
    return make_plan(
        rules or policy(),
        call(model, **(asked or {})),
        features(**signals),
        is_live=lambda backend: backend not in down,
        is_calibrated=lambda _model, _domain: calibrated,
        previous=previous,
    )


def tiers(made: Plan) -> list[str]:
    return [target.tier for target in made.targets]


def test_the_first_rule_that_matches_chooses_the_tier() -> None:
    assert (plan(difficulty=0.9).rule, tiers(plan(difficulty=0.9))) == ("hard", ["large"])
    assert (plan(difficulty=0.1).rule, tiers(plan(difficulty=0.1))) == ("default", ["small", "large"])


def test_the_draft_is_judged_and_the_last_target_is_not() -> None:
    made = plan()
    assert [target.judged for target in made.targets] == [True, False]
    assert made.targets[1].why_not_judged == "nothing stronger is left"
    assert made.propensity == 1.0


def test_a_rule_may_keep_its_tiers_answers_unjudged() -> None:
    trusted = Rule("trusted", Comparison("difficulty", "lt", 0.3), "small", judged=False)
    rules = policy(auto(select=(trusted, Rule("default", None, "small"))))
    kept, judged = plan(rules, difficulty=0.1, calibrated=False), plan(rules, difficulty=0.4)
    assert (tiers(kept), kept.low_confidence) == (["small"], None)
    assert kept.targets[0].why_not_judged == "rule 'trusted' has judged: false"
    assert tiers(judged) == ["small", "large"]
    assert judged.low_confidence is not None


def test_capability_filters_before_difficulty_decides() -> None:
    rules = policy(cards={"small-backend": card("small-model", capabilities=CHAT - {"tools"})})
    made = plan(rules, asked={"tools": (tool(),)})
    assert tiers(made) == ["large"]
    assert "does not support tool calls" in made.skipped["small"]
    assert "'large'" in made.reason


def test_context_length_filters_before_difficulty_decides() -> None:
    rules = policy(cards={"large-backend": card("large-model", context_tokens=50)})
    made = plan(rules, difficulty=0.9, prompt_tokens=60)
    assert tiers(made) == ["small"]
    assert made.rule == "hard"


def test_what_no_tier_can_do_names_the_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(prompt_tokens=5000)
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")


def test_a_tier_that_is_down_gives_way_to_the_next_stronger_one() -> None:
    made = plan(down=frozenset({"small-backend"}))
    assert tiers(made) == ["large"]
    assert "down" in made.skipped["small"]


def test_the_strongest_tier_down_gives_way_to_a_weaker_one() -> None:
    assert tiers(plan(difficulty=0.9, down=frozenset({"large-backend"}))) == ["small"]


def test_several_answers_are_routed_by_the_question_only() -> None:
    first = plan(asked={"n": 2}).targets[0]
    assert (first.tier, first.judged, first.why_not_judged) == ("small", False, "n is over 1")


def test_a_backend_without_logprobs_is_routed_by_the_question_only() -> None:
    rules = policy(cards={"small-backend": card("small-model", capabilities=CHAT - {"logprobs"})})
    first = plan(rules).targets[0]
    assert not first.judged
    assert "log-probabilities" in first.why_not_judged


def test_without_calibration_only_a_surely_easy_question_goes_to_the_cheap_tier() -> None:
    sure = plan(calibrated=False, difficulty=0.05)
    assert tiers(sure) == ["small", "large"]
    assert sure.targets[0].why_not_judged == NOT_CALIBRATED
    assert tiers(plan(calibrated=False, difficulty=0.06)) == ["large"]
    assert tiers(plan(calibrated=False, difficulty=0.01, unfamiliar=True)) == ["large"]


def test_escalation_goes_up_only() -> None:
    low = LowConfidence(Probe(), 0.05, ("small", "middle", "large"))
    rules = policy(
        auto(select=(Rule("hard", hard(), "middle"), Rule("default", None, "small")), on_low_confidence=low),
        tiers=("small", "middle", "large"),
    )
    assert tiers(plan(rules)) == ["small", "middle", "large"]
    assert tiers(plan(rules, difficulty=0.9)) == ["middle", "large"]


def test_a_plan_never_holds_more_targets_than_attempts() -> None:
    made = plan(policy(auto(limits=Limits(max_attempts=1))))
    assert tiers(made) == ["small"]
    assert not made.targets[0].judged


def test_failure_targets_are_the_able_tiers_that_rules_name() -> None:
    rules = policy(auto(on_failure=(FailureRule("next", ("any",), then=("large", "small")),)))
    assert list(plan(rules).failure_targets) == ["large", "small"]
    assert list(plan(rules, down=frozenset({"large-backend"})).failure_targets) == ["small"]


def test_a_conversation_stays_on_its_tier_while_difficulty_stands_still() -> None:
    made = plan(STICKY, turns=2, difficulty=0.55, previous=PreviousTurn("small", 0.48))
    assert tiers(made)[0] == "small"
    assert "stays" in made.reason
    assert tiers(plan(STICKY, turns=2, difficulty=0.45, previous=PreviousTurn("large", 0.52))) == ["large"]


def test_a_first_turn_opens_a_conversation_even_one_that_begins_like_another() -> None:
    assert tiers(plan(STICKY, turns=1, difficulty=0.45, previous=PreviousTurn("large", 0.45)))[0] == "small"


def test_a_conversation_moves_when_difficulty_moved_over_the_margin() -> None:
    assert tiers(plan(STICKY, turns=2, difficulty=0.9, previous=PreviousTurn("small", 0.48))) == ["large"]


def test_affinity_never_holds_a_conversation_below_a_rule_about_something_else() -> None:
    select = (Rule("tools", Comparison("tools", "eq", value=True), "large"), Rule("default", None, "small"))
    rules = policy(auto(select=select, affinity=Affinity("conversation", 0.1)))
    assert tiers(plan(rules, turns=2, tools=True, previous=PreviousTurn("small", 0.1))) == ["large"]


def test_without_affinity_the_last_turn_does_not_matter() -> None:
    assert tiers(plan(difficulty=0.55, previous=PreviousTurn("small", 0.5))) == ["large"]


def test_a_catalogue_id_is_not_routed() -> None:
    made = plan(model="large-model", difficulty=0.0)
    assert (made.rule, tiers(made), made.low_confidence, made.on_failure) == ("direct", ["large"], None, ())


def test_a_tier_name_is_not_routed() -> None:
    made = plan(model="headrace/small", difficulty=1.0)
    assert (made.rule, tiers(made)) == ("tier", ["small"])


def test_a_backend_outside_all_tiers_answers_under_no_tier() -> None:
    made = plan(policy(cards={"spare": card("spare-model")}), model="spare-model")
    assert (made.targets[0].tier, made.targets[0].backend) == ("", "spare")


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(NotFound):
        plan(model="gpt-9")


def test_the_expected_cost_covers_the_whole_chain() -> None:
    assert plan(difficulty=0.2).expected_cost_microusd > plan(difficulty=0.1).expected_cost_microusd
