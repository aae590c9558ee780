from headrace.contracts.policy import Limits
from headrace.contracts.routing import Attempt
from headrace.router.cascade.budget import refusal
from tests.support.cascade import plan
from tests.support.routing import call


def spent(microusd: int) -> Attempt:
    return Attempt("small", "b", "m", "rejected", 1, 1, microusd, 0.0, 1.0)


def test_the_number_of_attempts_is_bounded() -> None:
    planned = plan("small", "large", limits=Limits(max_attempts=2))
    assert refusal(planned, call(), [spent(1)], planned.targets[1]) == ""
    assert "2 attempts" in refusal(planned, call(), [spent(1)] * 2, planned.targets[1])


def test_the_whole_chain_stays_under_the_cost_limit() -> None:
    planned = plan("small", "large", limits=Limits(max_cost_microusd=500))
    asked = call(max_tokens=10)  # large: 10 prompt tokens at 10, 10 new ones at 20 micro-USD
    assert refusal(planned, asked, [spent(200)], planned.targets[1]) == ""
    assert "201 micro-USD are spent" in refusal(planned, asked, [spent(201)], planned.targets[1])
