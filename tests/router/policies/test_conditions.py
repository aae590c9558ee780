import pytest

from headrace.contracts.policy import AllOf, AnyOf, Comparison, Condition, Not
from headrace.router.policies.conditions import comparisons, holds, mentions
from tests.support.routing import features

ASKED = features(
    difficulty=0.4, domain="code", prompt_tokens=100, tools=True, metadata={"team": "red"}, headers={"x-fast": "1"}
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Comparison("difficulty", "gt", 0.4), False),
        (Comparison("difficulty", "gte", 0.4), True),
        (Comparison("difficulty", "lt", 0.4), False),
        (Comparison("difficulty", "lte", 0.4), True),
        (Comparison("domain", "eq", "code"), True),
        (Comparison("domain", "in", ("maths", "code")), True),
        (Comparison("domain", "in", ("maths",)), False),
        (Comparison("prompt_tokens", "eq", 100), True),
        (Comparison("metadata", "eq", "red", "team"), True),
        (Comparison("header", "eq", "1", "x-fast"), True),
        (Comparison("unfamiliar", "eq", value=False), True),
    ],
)
def test_each_operator_means_what_it_says(condition: Condition, expected: bool) -> None:
    assert holds(condition, ASKED) is expected


def test_what_the_request_does_not_carry_satisfies_only_present_false() -> None:
    for unmet in (
        Comparison("metadata", "eq", "red", "absent"),
        Comparison("metadata", "in", ("red",), "absent"),
        Comparison("metadata", "gt", 1, "absent"),
        Comparison("metadata", "present", value=True, name="absent"),
    ):
        assert not holds(unmet, ASKED)
    assert holds(Comparison("header", "present", value=False, name="absent"), ASKED)


def test_a_flag_is_present_when_true_and_text_when_not_empty() -> None:
    assert holds(Comparison("tools", "present", value=True), ASKED)
    assert holds(Comparison("json", "present", value=False), ASKED)
    assert holds(Comparison("language", "present", value=False), features(language=""))
    assert holds(Comparison("turns", "present", value=True), features(turns=0))


def test_support_is_present_only_where_something_was_searched() -> None:
    strong, searched = (
        Comparison("retrieval_support", "gte", 0.6),
        Comparison("retrieval_support", "present", value=True),
    )
    assert not holds(strong, ASKED)
    assert not holds(searched, ASKED)
    nothing = features(retrieval_support=0.0)
    assert holds(searched, nothing)
    assert not holds(strong, nothing)
    assert holds(strong, features(retrieval_support=0.6))


def test_text_has_no_order() -> None:
    assert not holds(Comparison("domain", "gt", "a"), ASKED)
    assert not holds(Comparison("metadata", "gt", 1, "team"), ASKED)


def test_conditions_nest() -> None:
    code, maths = Comparison("domain", "eq", "code"), Comparison("domain", "eq", "maths")
    assert holds(AllOf((code, Not(maths))), ASKED)
    assert holds(AnyOf((maths, code)), ASKED)
    assert not holds(AllOf((code, maths)), ASKED)


def test_a_condition_knows_the_signals_it_looks_at() -> None:
    nested = Not(AnyOf((Comparison("tools", "eq", value=True), Comparison("difficulty", "gt", 0.1))))
    assert mentions(nested, "difficulty")
    assert not mentions(nested, "domain")
    assert not mentions(None, "difficulty")


def test_comparisons_come_from_left_to_right() -> None:
    first, second, third = (Comparison("difficulty", "gt", bar) for bar in (0.1, 0.2, 0.3))
    assert [*comparisons(AllOf((first, Not(AnyOf((second, third))))))] == [first, second, third]
    assert [*comparisons(None)] == []
