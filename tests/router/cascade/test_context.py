import pytest

from headrace.router.cascade import runner
from headrace.router.cascade.context import RunContext


def test_a_context_is_frozen_and_shares_nothing_by_default() -> None:
    context = RunContext("req_1", 1.0, 2.0)
    assert (context.cache_salt, context.affinity) == ("", "")
    with pytest.raises(AttributeError):
        context.deadline = 3.0  # type: ignore[misc]


def test_the_runner_offers_it_beside_the_cascade() -> None:
    assert runner.RunContext is RunContext
