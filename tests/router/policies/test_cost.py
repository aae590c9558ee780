from msgspec.structs import replace

from headrace.contracts.routing import Target
from headrace.router.policies.cost import attempt_cost, expected_cost
from tests.support.routing import call, card

SMALL, LARGE = card("small", price="1"), card("large", price="10")


def test_an_attempt_costs_its_prompt_and_256_tokens_or_the_clients_bound() -> None:
    assert attempt_cost(SMALL, call(), 100) == 100 + 2 * 256
    assert attempt_cost(SMALL, call(max_tokens=10), 100) == 100 + 2 * 10
    assert attempt_cost(SMALL, call(max_tokens=5000), 100) == 100 + 2 * 256


def test_every_choice_of_n_is_paid() -> None:
    assert attempt_cost(SMALL, call(n=3, max_tokens=10), 100) == 100 + 3 * 20


def test_a_chain_counts_the_next_tier_with_the_probability_of_reaching_it() -> None:
    first = Target("small", "s", SMALL, judged=True)
    chain = (first, Target("large", "l", LARGE, judged=False))
    asked = call(max_tokens=10)
    assert expected_cost(chain, asked, 100, 0.5) == 120 + 600
    assert expected_cost((replace(first, judged=False), chain[1]), asked, 100, 0.5) == 120
