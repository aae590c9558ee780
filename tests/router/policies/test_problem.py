from headrace.router.policies.problem import nearest_word, repeated, tier_name, unknown
from tests.support.routing import policy


def test_the_nearest_word_is_the_one_that_looks_most_alike() -> None:
    assert nearest_word("lage", ["small", "large"]) == "large"
    assert nearest_word("zzz", ["small", "large"]) is None


def test_a_name_that_is_no_tier_is_told_with_those_that_are() -> None:
    (found,) = tier_name(policy(), ("use",), "lage")
    assert (found.path, found.message, found.cure) == (("use",), "unknown tier 'lage'", "known: small, large")
    assert found == unknown(("use",), "tier", "lage", ["small", "large"])
    assert not list(tier_name(policy(), ("use",), "large"))


def test_an_id_twice_is_told_where_it_stands_again() -> None:
    assert repeated(("tiers", 1, "id"), "tier", "small").message == "a second tier with the id 'small'"
