from dataclasses import replace

import pytest

from headrace.contracts.policy import (
    BudgetPacing,
    Canary,
    Comparison,
    Epsilon,
    Latency,
    QualityAtCost,
    Rule,
    Use,
    VirtualModel,
)
from headrace.contracts.routing import PreviousTurn
from headrace.router.policies.knobs import Dial, Switch, signal_knobs, strategy_knobs
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask
from tests.support.routing import auto, call, features, hard, policy


def ask(model: VirtualModel, **signals: object) -> Ask:
    return Ask(
        policy(model), call(), features(**signals), is_live=lambda _: True, is_calibrated=lambda _model, _domain: True
    )


def signals(model: VirtualModel, made: Ask | None = None, *domains: str) -> dict[str, Dial | Switch]:
    return {knob.name: knob for knob in signal_knobs(made or ask(model), model, domains)}


def test_only_what_rules_name_can_be_turned_besides_difficulty_and_length() -> None:
    assert signals(auto()).keys() == {"difficulty", "prompt_tokens"}
    named = auto(select=(Rule("t", Comparison("tools", "present", value=True), "large"), Rule("d", None, "small")))
    assert signals(named).keys() == {"difficulty", "prompt_tokens", "tools"}


@pytest.mark.parametrize("signal", ["key", "tenant"])
def test_who_asks_is_no_knob(signal: str) -> None:
    other = Comparison(signal, "eq", "somebody else")  # type: ignore[arg-type]
    assert signal not in signals(auto(select=(Rule("o", other, "large"), Rule("d", None, "small"))))


def test_a_header_is_turned_but_its_value_is_never_told() -> None:
    model = auto(select=(Rule("h", Comparison("header", "eq", "a", "x-team"), "large"), Rule("d", None, "small")))
    knob = signals(model, ask(model, headers={"x-team": "secret"}))["header x-team"]
    assert isinstance(knob, Switch)
    assert not knob.is_told
    assert knob.turned(None).features.headers == {}


def test_a_flag_takes_along_what_it_needs_of_a_model() -> None:
    select = tuple(Rule(name, Comparison(name, "eq", value=True), "large") for name in ("tools", "json"))  # type: ignore[arg-type]
    knobs = signals(auto(select=(*select, Rule("d", None, "small"))))
    assert knobs["tools"].turned(True).call.tools  # noqa: FBT003  (the value of a flag)
    assert knobs["json"].turned(True).call.wants_json  # noqa: FBT003  (same)


def test_support_is_turned_where_something_was_searched() -> None:
    strong = Comparison("retrieval_support", "gte", 0.6)
    model = auto(select=(Rule("s", strong, "small"), Rule("d", None, "large")))
    assert "retrieval_support" not in signals(model)
    knob = signals(model, ask(model, retrieval_support=0.2))["retrieval_support"]
    assert isinstance(knob, Dial)
    assert (knob.now, 0.6 in knob.points) == (0.2, True)


def test_a_domain_may_be_any_that_the_difficulty_model_knows() -> None:
    model = auto(select=(Rule("c", Comparison("domain", "in", ("code", "chat")), "large"), Rule("d", None, "small")))
    knob = signals(model, None, "maths", "chat")["domain"]
    assert isinstance(knob, Switch)
    assert (knob.now, [*knob.others]) == ("chat", ["code", "maths"])


def test_points_of_difficulty_hold_rules_risk_and_the_margin_of_a_conversation() -> None:
    model = auto(select=(Rule("hard", hard(0.53), "large"), Rule("d", None, "small")))
    dial = signals(model, replace_previous(ask(model), 0.3))["difficulty"]
    assert isinstance(dial, Dial)
    assert {0.53, 0.05, 0.2, 0.4} <= {round(point, 9) for point in dial.points}


def replace_previous(made: Ask, difficulty: float) -> Ask:
    return Ask(
        made.policy, made.call, made.features, made.is_live, made.is_calibrated, PreviousTurn("small", difficulty)
    )


@pytest.mark.parametrize(
    ("use", "names"),
    [
        ("small", set[str]()),
        (Canary("small", "large", 0.1), {"draw"}),
        (Epsilon("small", 0.1), {"draw"}),
        (QualityAtCost(0.5), {"lambda", "quality of small-backend", "quality of large-backend"}),
        (Latency("large", 2.0), {"deadline_s"}),
        (
            BudgetPacing("large", "small", 1000),
            {"budget left", "quality of small-backend", "quality of large-backend"},
        ),
    ],
)
def test_every_strategy_has_its_numbers(use: Use, names: set[str]) -> None:
    model = auto(select=(Rule("only", None, use),), on_low_confidence=None)
    made = ask(model, quality={"small-backend": 0.4, "large-backend": 0.8})
    assert {knob.name for knob in strategy_knobs(made, model, decide(made))} == names


def test_turning_a_knob_leaves_the_request_as_it_was() -> None:
    model = auto(select=(Rule("only", None, QualityAtCost(0.5)),))
    made = ask(model)
    before = replace(made.policy)
    for knob in strategy_knobs(made, model, decide(made)):
        knob.turned(3.0)
    assert made.policy == before
