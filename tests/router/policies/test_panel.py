from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.policy import Experts, Limits, LowConfidence, Policy, Probe, Rule, Tier
from headrace.contracts.routing import Plan
from headrace.router.policies.panel import seatable
from headrace.router.policies.planner import make_plan
from tests.support.routing import TIERS, auto, call, card, features, policy, tool

QUALITY = {"small-backend": 0.5, "coder": 0.8, "middle-backend": 0.7, "large-backend": 0.9}


def using(strategy: Experts, **fields: Any) -> Policy:
    fields.setdefault("on_low_confidence", None)
    made = policy(auto(select=(Rule("only", None, strategy),), **fields), tiers=TIERS, cards={"coder": card("coder")})
    return replace(made, tiers=(Tier("small", "small-backend", {"code": "coder"}), *made.tiers[1:]))


def plan(rules: Policy, *, down: tuple[str, ...] = (), **fields: Any) -> Plan:
    return make_plan(
        rules,
        call(**fields),
        features(quality=QUALITY, tools=bool(fields.get("tools"))),
        is_live=lambda backend: backend not in down,
        is_calibrated=lambda _model, _domain: True,
    )


def members(made: Plan) -> list[str]:
    return [] if made.panel is None else [member.backend for member in made.panel.members]


def test_the_best_backends_sit_on_the_panel_the_most_promising_first() -> None:
    made = plan(using(Experts(3)))
    assert members(made) == ["large-backend", "coder", "middle-backend"]
    assert made.scores == {"large-backend": 0.9, "coder": 0.8, "middle-backend": 0.7, "small-backend": 0.5}
    assert [(target.backend, target.judged) for target in made.targets] == [("large-backend", False)]
    assert (made.propensity, made.chances, made.low_confidence) == (1.0, {"large": 1.0}, None)
    assert "large-backend, coder, middle-backend side by side, fused by vote" in made.reason


def test_a_specialist_sits_on_its_own_tier() -> None:
    panel = plan(using(Experts(3))).panel
    assert panel is not None
    assert panel.members[1].tier == "small"


def test_the_price_of_quality_ranks_the_cheap_ones_higher() -> None:
    assert members(plan(using(Experts(2, quality_per_milliusd=0.1)))) == ["coder", "small-backend"]


def test_only_named_backends_are_asked_and_only_while_they_are_able() -> None:
    named = using(Experts(2, backends=("small-backend", "coder", "middle-backend")))
    assert members(plan(named)) == ["coder", "middle-backend"]
    assert members(plan(named, down=("coder",))) == ["middle-backend", "small-backend"]
    alone = plan(named, down=("coder", "small-backend"))
    assert (alone.panel, alone.targets[0].backend) == (None, "middle-backend")
    none = plan(named, down=("coder", "small-backend", "middle-backend"))
    assert none.targets[0].backend == "large-backend"


def test_all_answers_and_the_judges_word_are_expected_to_cost() -> None:
    made = plan(using(Experts(2)))
    # 10 prompt and 256 answer tokens: 522 micro-USD at 1 and 2 USD per million, a hundred times as much on large.
    assert made.expected_cost_microusd == 52_200 + 522
    judged = plan(using(Experts(2, "judge", judge="middle")))
    assert judged.panel is not None
    assert judged.panel.judge is not None
    assert judged.panel.judge.tier == "middle"
    assert judged.expected_cost_microusd == 52_200 + 522 + 10 * (10 + 512) + 20 * 16


def test_the_cost_bound_holds_for_the_whole_panel() -> None:
    bounded = using(Experts(3), limits=Limits(max_cost_microusd=53_000))
    assert members(plan(bounded)) == ["large-backend", "coder"]
    tight = plan(using(Experts(3), limits=Limits(max_cost_microusd=600)))
    assert members(tight) == []
    assert tight.targets[0].backend == "coder"


@pytest.mark.parametrize(
    ("fields", "why"), [({"n": 2}, "n is over 1"), ({"tools": (tool(),)}, "the request has tools")]
)
def test_several_answers_or_tools_are_for_one_expert_alone(fields: dict[str, Any], why: str) -> None:
    made = plan(using(Experts(3)), **fields)
    assert (made.panel, made.targets[0].backend) == (None, "large-backend")
    assert f"{why}, so 'large-backend' alone" in made.reason


def test_a_panel_of_one_is_plain_routing_with_its_escalation() -> None:
    low = LowConfidence(Probe(), 0.05, ("middle", "large"))
    rules = using(Experts(1, quality_per_milliusd=0.1), on_low_confidence=low)
    made = plan(rules)
    assert [(target.backend, target.judged) for target in made.targets] == [
        ("coder", True),
        ("middle-backend", True),
        ("large-backend", False),
    ]
    assert made.low_confidence is low
    assert made.propensity == 1.0


def test_a_judge_whose_tier_is_down_leaves_it_to_the_vote() -> None:
    made = plan(using(Experts(2, "judge", judge="middle")), down=("middle-backend",))
    assert made.panel is not None
    assert (made.panel.fuse, made.panel.judge) == ("vote", None)
    assert "the judge's tier 'middle' cannot take the request" in made.reason


def test_every_backend_of_a_tier_may_sit_unless_some_are_named() -> None:
    rules = using(Experts(1))
    assert seatable(rules, Experts(1)) == ("small-backend", "coder", "middle-backend", "large-backend")
    assert seatable(rules, Experts(1, backends=("coder", "coder"))) == ("coder",)
