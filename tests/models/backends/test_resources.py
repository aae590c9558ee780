import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import EngineError
from headrace.models.backends.resources import GIB, EngineNeed, Host, plan_resources

PAIR = (EngineNeed("small", GIB // 5), EngineNeed("large", 2 * GIB))


def test_two_engines_on_two_cores_get_both_cores_and_bounded_kv() -> None:
    shares = plan_resources(Host(2, 24 * GIB), PAIR)
    assert [share.threads for share in shares.values()] == [2, 2]
    assert {share.kv_bytes for share in shares.values()} == {2 * GIB}


def test_many_cores_are_divided() -> None:
    assert plan_resources(Host(16, 64 * GIB), PAIR)["small"].threads == 8
    assert plan_resources(Host(1, 24 * GIB), PAIR)["small"].threads == 1


def test_too_little_memory_is_refused_with_the_need() -> None:
    with pytest.raises(EngineError, match=r"2 engines need 8\.7 GiB of memory and 6\.0 GiB are free"):
        plan_resources(Host(2, 6 * GIB), PAIR)


def test_gpus_are_shared_by_fraction() -> None:
    assert plan_resources(Host(16, 64 * GIB, gpus=1), PAIR)["large"].gpu_fraction == 0.45
    assert plan_resources(Host(16, 64 * GIB, gpus=2), PAIR)["large"].gpu_fraction == 0.9


@given(st.integers(1, 64), st.integers(0, 256), st.lists(st.integers(0, 20), max_size=6))
def test_the_parts_never_exceed_the_whole(cores: int, memory_gib: int, weights: list[int]) -> None:
    engines = [EngineNeed(str(i), w * GIB) for i, w in enumerate(weights)]
    try:
        shares = plan_resources(Host(cores, memory_gib * GIB), engines)
    except EngineError:
        return
    held = sum(share.kv_bytes for share in shares.values()) + sum(weights) * GIB
    assert held <= memory_gib * GIB
    assert all(1 <= share.threads <= cores for share in shares.values())
