import pytest

from headrace.contracts.policy import Comparison, Retrieve, Rule
from headrace.contracts.routing import PreviousTurn
from headrace.router.policies.planner import make_plan
from headrace.router.policies.support import is_unsupported
from tests.support.routing import auto, call, features, policy

HANDBOOK = Retrieve(("handbook",), min_support=0.3, when_unsupported="escalate")


@pytest.mark.parametrize(
    ("retrieve", "support", "expected"),
    [
        (None, 0.0, False),
        (HANDBOOK, None, False),
        (HANDBOOK, 0.29, True),
        (HANDBOOK, 0.3, False),
        (Retrieve(("handbook",), min_support=0.0), 0.0, True),
        (Retrieve(("handbook",), min_support=0.0), 0.01, False),
    ],
)
def test_no_passage_or_too_little_support_is_unsupported(
    retrieve: Retrieve | None, support: float | None, expected: bool
) -> None:
    assert is_unsupported(retrieve, support) is expected


def plan_of(retrieve: Retrieve, support: float | None, previous: PreviousTurn | None = None) -> tuple[str, str]:
    made = make_plan(
        policy(auto(retrieve=retrieve)),
        call(),
        features(retrieval_support=support, turns=2),
        is_live=lambda _: True,
        is_calibrated=lambda _model, _domain: True,
        previous=previous,
    )
    return made.rule, made.targets[0].tier


def test_what_nothing_supports_starts_on_the_strongest_tier_where_the_config_says_so() -> None:
    assert plan_of(HANDBOOK, 0.1) == ("unsupported", "large")
    assert plan_of(HANDBOOK, 0.8) == ("default", "small")
    assert plan_of(HANDBOOK, None) == ("default", "small")
    assert plan_of(Retrieve(("handbook",), min_support=0.3), 0.1) == ("default", "small")


def test_a_conversation_does_not_hold_back_what_nothing_supports() -> None:
    assert plan_of(HANDBOOK, 0.1, PreviousTurn("small", 0.1)) == ("unsupported", "large")


def test_support_found_keeps_a_hard_question_small_by_a_rule() -> None:
    supported = Rule("supported", Comparison("retrieval_support", "gte", 0.6), "small")
    rules = (supported, *auto().select)
    for support, expected in ((0.7, ("supported", "small")), (0.5, ("hard", "large")), (None, ("hard", "large"))):
        made = make_plan(
            policy(auto(select=rules)),
            call(),
            features(difficulty=0.9, retrieval_support=support),
            is_live=lambda _: True,
            is_calibrated=lambda _model, _domain: True,
        )
        assert (made.rule, made.targets[0].tier) == expected
