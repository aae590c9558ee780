import pytest

from headrace.contracts.routing import Attempt, PreviousTurn
from tests.support.cascade import plan


def test_a_plan_is_deterministic_unless_it_says_otherwise() -> None:
    assert plan("small", "large").propensity == 1.0


def test_an_attempt_that_gave_no_token_has_no_time_to_first_token() -> None:
    attempt = Attempt("small", "b", "m", "failed", 0, 0, 0, 0.0, 1.0)
    assert (attempt.ttft_s, attempt.commit_reason, attempt.usage_estimated) == (None, None, False)


def test_what_is_recorded_is_frozen() -> None:
    with pytest.raises(AttributeError):
        PreviousTurn("small", 0.1).tier = "large"  # type: ignore[misc]
