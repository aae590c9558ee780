import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import BackendUnavailable
from headrace.models.backends.balance import BalanceLimits, Balancer

NAMES = ["a", "b", "c"]


def test_without_affinity_the_least_loaded_endpoint_is_taken() -> None:
    balancer = Balancer(NAMES)
    assert sorted(balancer.take("", 0.0) for _ in range(3)) == [0, 1, 2]
    balancer.give(1)
    assert balancer.take("", 0.0) == 1


def test_a_key_keeps_its_endpoint_and_keys_spread() -> None:
    balancer = Balancer(NAMES)
    chosen: dict[str, set[int]] = {}
    for _ in range(2):
        for key in map(str, range(60)):
            index = balancer.take(key, 0.0)
            chosen.setdefault(key, set()).add(index)
            balancer.give(index)
    assert all(len(indexes) == 1 for indexes in chosen.values())
    assert {next(iter(indexes)) for indexes in chosen.values()} == {0, 1, 2}


def test_a_key_moves_only_when_its_endpoint_leaves() -> None:
    whole, fewer = Balancer(NAMES), Balancer(["a", "c"])
    for key in map(str, range(60)):
        before, after = NAMES[whole.take(key, 0.0)], ["a", "c"][fewer.take(key, 0.0)]
        whole.give(NAMES.index(before))
        fewer.give(["a", "c"].index(after))
        assert before in {after, "b"}


@given(st.lists(st.sampled_from(["hot", "cold", ""]), max_size=80))
def test_no_endpoint_carries_much_more_than_its_share(keys: list[str]) -> None:
    balancer = Balancer(NAMES)
    for number, key in enumerate(keys, 1):
        balancer.take(key, 0.0)
        assert max(balancer.running()) <= 1.25 * number / 3 + 1


def test_failures_in_a_row_rest_an_endpoint_and_one_trial_brings_it_back() -> None:
    balancer = Balancer(["a"], BalanceLimits(eject_after=2, rest_s=1.0))
    for _ in range(2):
        balancer.failed(balancer.take("", 0.0), 0.0)
        balancer.give(0)
    assert not balancer.is_live(0.5)
    with pytest.raises(BackendUnavailable, match=r"next try is due in 0\.5 s"):
        balancer.take("", 0.5)
    assert balancer.take("", 1.0) == 0
    assert not balancer.is_live(1.0)
    balancer.succeeded(0)
    balancer.give(0)
    assert balancer.is_live(1.0)
    assert balancer.take("", 1.0) == 0


def test_a_failed_trial_doubles_the_rest_up_to_the_cap() -> None:
    balancer = Balancer(["a"], BalanceLimits(eject_after=1, rest_s=1.0, max_rest_s=4.0))
    now, rests = 0.0, []
    for _ in range(5):
        balancer.failed(balancer.take("", now), now)
        balancer.give(0)
        rest = next(s for s in (1, 2, 4, 8, 16) if balancer.is_live(now + s))
        rests.append(rest)
        now += rest
    assert rests == [1, 2, 4, 4, 4]


def test_a_full_endpoint_is_left_alone_while_others_can_serve() -> None:
    balancer = Balancer(["a", "b"])
    balancer.busy(0, 0.0, 5.0)
    assert [balancer.take("", 1.0) for _ in range(3)] == [1, 1, 1]
    balancer.busy(1, 1.0, None)
    assert balancer.take("", 1.5) == 0
    assert balancer.is_live(1.0)
