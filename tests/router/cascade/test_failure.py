import pytest

from headrace.contracts.errors import BackendStatus, BackendTimeout, BackendUnavailable
from headrace.contracts.policy import FailureRule
from headrace.router.cascade.failure import FIRST_PAUSE_S, MAX_PAUSE_S, Recovery
from tests.support.cascade import plan

SLOW, GONE = BackendTimeout("slow"), BackendUnavailable("gone")
AGAIN = FailureRule("again", ("timeout",), retries=2)
NEXT = FailureRule("next", ("any",), then=("large", "small"))


def recovery(*rules: FailureRule) -> Recovery:
    return Recovery(plan("small", "large", on_failure=rules))


def test_without_a_rule_nothing_follows() -> None:
    assert recovery().after(SLOW, "small") is None
    assert recovery(AGAIN).after(GONE, "small") is None


def test_retries_come_before_other_tiers_and_are_counted() -> None:
    state = recovery(AGAIN, NEXT)
    assert [state.after(SLOW, "small") for _ in range(3)] == ["small", "small", "large"]


def test_each_tier_has_its_own_retries() -> None:
    state = recovery(AGAIN, NEXT)
    for _ in range(3):
        state.after(SLOW, "small")
    assert state.after(SLOW, "large") == "large"


def test_a_tier_that_broke_is_not_asked_again_by_another_rule() -> None:
    state = recovery(NEXT)
    assert state.after(GONE, "small") == "large"
    assert state.after(GONE, "large") is None


def test_a_tier_that_cannot_serve_the_request_is_passed_over() -> None:
    assert recovery(FailureRule("next", ("any",), then=("huge", "large"))).after(GONE, "small") == "large"


def test_a_status_is_named_by_its_number() -> None:
    busy = BackendStatus("busy", upstream_status=429)
    assert recovery(FailureRule("busy", ("http_429",), then=("large",))).after(busy, "small") == "large"


@pytest.mark.parametrize(("asked_s", "expected_s"), [(0.5, 0.5), (60.0, MAX_PAUSE_S), (-1.0, 0.0)])
def test_the_upstreams_own_pause_is_kept_within_a_bound(asked_s: float, expected_s: float) -> None:
    busy = BackendStatus("busy", upstream_status=429, retry_after_s=asked_s)
    assert recovery().pause_s(busy, "small") == expected_s


def test_pauses_grow_with_each_retry() -> None:
    state = recovery(AGAIN)
    state.after(SLOW, "small")
    first = state.pause_s(SLOW, "small")
    state.after(SLOW, "small")
    assert (first, state.pause_s(SLOW, "small")) == (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S)
