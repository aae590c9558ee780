from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.policy import AllOf, AnyOf, Comparison, Condition, Not, Rule
from headrace.contracts.routing import Features
from headrace.router.policies import reachability
from headrace.router.policies.conditions import holds
from headrace.router.policies.reachability import unreachable
from tests.support.routing import features


def rules(*conditions: Condition | None) -> list[Rule]:
    return [Rule(f"r{index}", when, "small") for index, when in enumerate(conditions)]


def dead(*conditions: Condition | None) -> dict[str, str]:
    return {found.rule_id: found.why for found in unreachable(rules(*conditions))}


def difficulty(op: str, value: float) -> Comparison:
    return Comparison("difficulty", op, value)  # type: ignore[arg-type]


def test_a_narrower_rule_after_a_wider_one_is_unreachable_and_names_it() -> None:
    assert dead(difficulty("gt", 0.5), difficulty("gt", 0.7), None) == {
        "r1": "rule 'r0' above matches everything it would match"
    }


def test_rules_that_cover_another_only_together_are_all_named() -> None:
    why = dead(difficulty("gte", 0.5), difficulty("lte", 0.5), Comparison("tools", "eq", value=True))["r2"]
    assert "'r0', 'r1'" in why


def test_a_contradiction_inside_one_rule_is_found() -> None:
    both = AllOf((Comparison("domain", "eq", "code"), Comparison("domain", "eq", "maths")))
    assert dead(both, None) == {"r0": "its conditions contradict each other"}


def test_whole_numbers_leave_no_gap_between_three_and_four() -> None:
    between = AllOf((Comparison("turns", "gt", 3), Comparison("turns", "lt", 4)))
    assert list(dead(between, None)) == ["r0"]


def test_both_values_of_a_flag_cover_everything() -> None:
    assert list(dead(Comparison("json", "eq", value=True), Comparison("json", "eq", value=False), None)) == ["r2"]


def test_text_always_has_another_value() -> None:
    named = Comparison("domain", "in", ("code", "maths", "chat"))
    assert dead(named, None) == {}
    assert list(dead(named, Not(named), None)) == ["r2"]


def test_an_absent_header_is_a_case_of_its_own() -> None:
    there = Comparison("header", "eq", "1", "x-fast")
    assert dead(there, Comparison("header", "present", value=False, name="x-fast"), None) == {}


def test_absent_support_is_a_case_of_its_own() -> None:
    strong, weak = Comparison("retrieval_support", "gte", 0.5), Comparison("retrieval_support", "lt", 0.5)
    assert dead(strong, weak, None) == {}
    assert list(dead(strong, weak, Comparison("retrieval_support", "present", value=False), None)) == ["r3"]


def test_difficulty_ends_at_one() -> None:
    assert list(dead(difficulty("gt", 1.0), None)) == ["r0"]


def test_the_sample_of_the_documentation_is_reachable() -> None:
    assert (
        dead(
            Comparison("prompt_tokens", "gt", 3000),
            Comparison("tools", "present", value=True),
            AllOf((Comparison("domain", "eq", "code"), difficulty("gt", 0.2))),
            AnyOf((difficulty("gt", 0.5), Comparison("unfamiliar", "eq", value=True))),
            None,
        )
        == {}
    )


def test_a_list_too_tangled_to_decide_is_called_reachable() -> None:
    many = tuple(
        AnyOf((Comparison("metadata", "eq", "x", f"a{i}"), Comparison("metadata", "eq", "y", f"b{i}")))
        for i in range(13)
    )
    assert 2 ** len(many) > reachability.MAX_BOXES
    assert dead(AllOf(many), AllOf(many), None) == {}


DIFFICULTIES = (0.0, 0.2, 0.35, 0.5, 0.75, 1.0)
DOMAINS = ("code", "maths", "other")
comparisons = st.one_of(
    st.builds(
        Comparison,
        st.just("difficulty"),
        st.sampled_from(["eq", "gt", "gte", "lt", "lte"]),
        st.sampled_from([0.2, 0.5, 1.0]),
    ),
    st.builds(
        Comparison, st.just("turns"), st.sampled_from(["eq", "gt", "gte", "lt", "lte"]), st.sampled_from([0, 1, 2, 1.5])
    ),
    st.builds(Comparison, st.just("domain"), st.just("eq"), st.sampled_from(DOMAINS[:2])),
    st.builds(Comparison, st.just("domain"), st.just("in"), st.just(DOMAINS[:2])),
    st.builds(Comparison, st.sampled_from(["tools", "json"]), st.sampled_from(["eq", "present"]), st.booleans()),
    st.builds(Comparison, st.just("metadata"), st.just("present"), st.booleans(), st.just("team")),
    st.builds(Comparison, st.just("metadata"), st.just("eq"), st.sampled_from(["red", ""]), st.just("team")),
)
conditions = st.recursive(
    comparisons,
    lambda part: st.one_of(
        st.builds(Not, part),
        st.builds(AllOf, st.lists(part, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(part, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)


def grid() -> list[Features]:
    return [
        features(difficulty=value, turns=turns, domain=domain, tools=tools, json=tools is not flip, metadata=metadata)
        for value in DIFFICULTIES
        for turns in range(5)
        for domain in DOMAINS
        for tools in (False, True)
        for flip in (False, True)
        for metadata in ({}, {"team": ""}, {"team": "red"}, {"team": "blue"})
    ]


GRID = grid()


@settings(max_examples=150, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=5))
def test_exactly_the_rules_that_no_request_of_a_full_grid_matches_are_called_unreachable(
    whens: list[Condition],
) -> None:
    listed = rules(*whens)
    matched = {next((rule.id for rule in listed if holds(rule.when, asked)), None) for asked in GRID}  # type: ignore[arg-type]
    called = {found.rule_id for found in unreachable(listed)}
    assert called.isdisjoint(matched)
    assert called == {rule.id for rule in listed} - matched
