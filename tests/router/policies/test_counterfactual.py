from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import RequestError
from headrace.contracts.policy import (
    AnyOf,
    BudgetPacing,
    Canary,
    Comparison,
    Epsilon,
    Experts,
    Latency,
    Policy,
    QualityAtCost,
    Rule,
    Use,
    VirtualModel,
)
from headrace.contracts.routing import Features, Load, Pace, Plan
from headrace.router.policies.counterfactual import Change, changes
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask
from tests.support.routing import TIERS, auto, call, card, features, hard, policy

DOMAINS = ("chat", "code", "maths")
CARDS = {f"{tier}-backend": card(f"{tier}-model", price=str(10**index)) for index, tier in enumerate(TIERS)}


def ask(model: VirtualModel, *, rules: Policy | None = None, **signals: Any) -> Ask:
    return Ask(
        rules or policy(model, tiers=TIERS, cards=CARDS),
        call(),
        features(**signals),
        is_live=lambda _: True,
        is_calibrated=lambda _model, _domain: True,
        load=lambda tier, _: Load(first_s={"small": 0.1, "middle": 0.5, "large": 2.0}[tier], token_s=0.01),
    )


def only(use: Use) -> VirtualModel:
    return auto(select=(Rule("only", None, use),), on_low_confidence=None)


def told(made: Ask) -> list[Change]:
    return [*changes(made, decide(made), DOMAINS)]


def of(made: Ask, what: str) -> Change:
    return next(change for change in told(made) if change.what == what)


def first(plan: Plan) -> tuple[str, ...]:
    if plan.panel is not None:
        return tuple(member.backend for member in plan.panel.members)
    return (plan.targets[0].backend,)


def applied(made: Ask, change: Change, value: Any) -> Ask:
    """Change the request, or the policy, by hand: nothing of the code under test is used."""
    name = change.what
    if hasattr(made.features, name):
        seen: Features = msgspec.structs.replace(made.features, **{name: value})
        asked = made.call
        if name == "tools":
            asked = msgspec.structs.replace(asked, tools=({"type": "function"},) if value else ())
        return msgspec.structs.replace(made, features=seen, call=asked)
    if name.startswith("metadata "):
        kept = {} if value is None else {name.removeprefix("metadata "): value}
        return msgspec.structs.replace(made, features=msgspec.structs.replace(made.features, metadata=kept))
    if name.startswith("quality of "):
        quality = {**made.features.quality, name.removeprefix("quality of "): value}
        return msgspec.structs.replace(made, features=msgspec.structs.replace(made.features, quality=quality))
    if name == "draw":
        return msgspec.structs.replace(made, draw=value)
    if name == "budget left":
        return msgspec.structs.replace(made, pace=lambda _, __: Pace(0, 0, value))
    field = {"lambda": "quality_per_milliusd", "deadline_s": "deadline_s"}[name]
    (model,) = made.policy.virtual_models.values()
    rule = decide(made).rule
    select = tuple(
        replace(each, use=replace(each.use, **{field: value})) if each.id == rule else each  # type: ignore[type-var,arg-type]
        for each in model.select
    )
    rules = replace(made.policy, virtual_models={model.name: replace(model, select=select)})
    return msgspec.structs.replace(made, policy=rules)


def test_a_threshold_is_told_as_the_rule_has_it() -> None:
    change = of(ask(auto(), difficulty=0.41), "difficulty")
    assert (change.was, change.op, change.value, change.rule, change.tiers) == (0.41, "gt", 0.5, "hard", ("large",))
    down = of(ask(auto(), difficulty=0.9), "difficulty")
    assert (down.op, down.value, down.rule, down.tiers) == ("lte", 0.5, "default", ("small", "large"))


def test_a_domain_that_a_rule_names_is_told() -> None:
    model = auto(select=(Rule("code", Comparison("domain", "eq", "code"), "large"), Rule("d", None, "small")))
    change = of(ask(model), "domain")
    assert (change.was, change.op, change.value, change.rule) == ("chat", "eq", "code", "code")
    away = of(ask(model, domain="code"), "domain")
    assert (away.value, away.rule) == (("chat", "maths"), "d")


def test_the_length_at_which_a_rule_or_a_context_decides_is_whole() -> None:
    model = auto(select=(Rule("long", Comparison("prompt_tokens", "gt", 1500), "large"), Rule("d", None, "small")))
    change = of(ask(model), "prompt_tokens")
    assert (change.op, change.value) == ("gte", 1501)


def test_lambda_is_told_where_two_tiers_are_worth_the_same() -> None:
    made = ask(
        only(QualityAtCost(0.0)),
        quality={f"{tier}-backend": value for tier, value in zip(TIERS, (0.4, 0.6, 0.8), strict=True)},
    )
    change = of(made, "lambda")
    assert (change.was, change.first) == (0.0, ("middle-backend",))
    cost = {tier: CARDS[f"{tier}-backend"].price.cost_microusd(10, 256) / 1000 for tier in TIERS}
    assert change.value == pytest.approx((0.8 - 0.6) / (cost["large"] - cost["middle"]), rel=1e-9)
    gap = of(made, "quality of small-backend")
    assert (gap.first, gap.tried) == (("small-backend",), pytest.approx(0.8))


def test_what_was_drawn_is_told() -> None:
    change = of(ask(only(Canary("small", "large", 0.1))), "draw")
    assert (change.was, change.value, change.first) == (0.5, pytest.approx(0.9), ("large-backend",))


def test_a_deadline_and_a_budget_are_told() -> None:
    made = msgspec.structs.replace(ask(only(Latency("large", 1.0))), call=call(stream=True))
    found = {change.first: (change.op, change.value) for change in told(made) if change.what == "deadline_s"}
    assert found == {("small-backend",): ("lt", 0.5), ("large-backend",): ("gte", 2.0)}
    made = ask(only(BudgetPacing("large", "small", 1000)), quality=dict.fromkeys(CARDS, 0.5) | {"large-backend": 0.6})
    assert of(made, "budget left").first == ("small-backend",)


def test_a_panel_is_another_decision_when_its_members_are() -> None:
    quality = {f"{tier}-backend": value for tier, value in zip(TIERS, (0.4, 0.6, 0.8), strict=True)}
    made = ask(only(Experts(top_k=2, fuse="vote")), quality=quality)
    assert of(made, "lambda").first == ("middle-backend", "large-backend")


def test_a_client_that_names_the_tier_leaves_nothing_to_change() -> None:
    made = msgspec.structs.replace(ask(auto()), call=call("headrace/large"))
    assert told(made) == []


def test_a_change_that_would_be_refused_is_not_told() -> None:
    assert all(change.what != "prompt_tokens" for change in told(ask(auto())))


USES: st.SearchStrategy[Use] = st.one_of(
    st.sampled_from(TIERS),
    st.builds(QualityAtCost, st.floats(0, 5)),
    st.builds(lambda share: Canary("small", "large", share), st.floats(0.01, 0.99)),
    st.builds(lambda epsilon: Epsilon("small", epsilon), st.floats(0.01, 1)),
    st.builds(lambda deadline: Latency("large", deadline), st.floats(0.05, 5)),
    st.builds(lambda _: BudgetPacing("large", "small", 1000), st.none()),
    st.builds(lambda top, price: Experts(top, quality_per_milliusd=price), st.integers(1, 3), st.floats(0, 5)),
)
OPS = st.sampled_from(["gt", "gte", "lt", "lte"])
CONDITIONS = st.one_of(
    st.builds(lambda op, bar: Comparison("difficulty", op, bar), OPS, st.floats(0, 1)),
    st.builds(lambda op, bar: Comparison("prompt_tokens", op, bar), OPS, st.integers(1, 3000)),
    st.builds(lambda bar: Comparison("turns", "gte", bar), st.integers(1, 9)),
    st.builds(lambda domain: Comparison("domain", "eq", domain), st.sampled_from(DOMAINS)),
    st.builds(lambda value: Comparison("tools", "eq", value), st.booleans()),
    st.builds(lambda value: Comparison("metadata", "eq", value, "team"), st.sampled_from("ab")),
)
WHENS = st.one_of(CONDITIONS, st.builds(lambda one, two: AnyOf((one, two)), CONDITIONS, CONDITIONS))


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    rules = [Rule(f"r{place}", draw(WHENS), draw(USES)) for place in range(draw(st.integers(0, 3)))]
    model = auto(
        select=(*rules, Rule("last", None, draw(USES))),
        on_low_confidence=draw(st.sampled_from([None, auto().on_low_confidence])),
    )
    unit = st.floats(0, 1)
    return ask(
        model,
        difficulty=draw(unit),
        domain=draw(st.sampled_from(DOMAINS)),
        prompt_tokens=draw(st.integers(1, 3000)),
        turns=draw(st.integers(1, 9)),
        metadata=draw(st.sampled_from([{}, {"team": "a"}])),
        quality=draw(st.one_of(st.just({}), st.fixed_dictionaries(dict.fromkeys(CARDS, unit)))),
    )


@settings(max_examples=60, deadline=None)
@given(asks())
def test_each_change_applied_by_hand_makes_the_decision_it_tells(made: Ask) -> None:
    now = decide(made)
    for change in changes(made, now, DOMAINS):
        values = change.value if isinstance(change.value, tuple) else (change.tried,)
        for value in values:
            plan = decide(applied(made, change, value))
            assert (plan.rule, first(plan)) == (change.rule, change.first), change
            assert (plan.rule, first(plan)) != (now.rule, first(now)), change


@settings(max_examples=30, deadline=None)
@given(asks(), st.floats(0.001, 0.999))
def test_nothing_smaller_would_have_done(made: Ask, share: float) -> None:
    for change in changes(made, decide(made), DOMAINS):
        if change.what not in {"difficulty", "lambda", "deadline_s"}:
            continue
        now, tried = change.was, change.tried
        assert isinstance(now, float)
        assert isinstance(tried, float)
        if abs(tried - now) < 1e-9:
            continue
        try:
            plan = decide(applied(made, change, now + share * (tried - now)))
        except RequestError:
            continue
        assert (plan.rule, first(plan)) != (change.rule, change.first), change


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0.0, 0.99))
def test_difficulty_is_told_on_the_other_side_of_the_bar(value: float, bar: float) -> None:
    made = ask(auto(select=(Rule("hard", hard(bar), "large"), Rule("d", None, "small"))), difficulty=value)
    found = [change for change in told(made) if change.what == "difficulty"]
    assert [(one.op, one.value) for one in found] == [("lte" if value > bar else "gt", bar)]
