import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels.sparse_attention.page_stats import _torch, reference
from tests.support.kernels.tolerance import close


def test_the_last_slots_are_one_a_page() -> None:
    slots = torch.tensor([-1, 4, 5, 6, 11, -1, 0, 1, -1, -1])
    assert _torch.last_slots(slots, 4).tolist() == [6, 11, 1]


@settings(max_examples=30, deadline=None)
@given(runs=st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=5))
def test_without_asking_how_many_each_slot_names_its_own_last(runs: list[tuple[int, bool]]) -> None:
    slots, wanted = [], []
    for page, (length, is_padding) in enumerate(runs):
        slots += [-1] * length if is_padding else list(range(page * 4, page * 4 + length))
        wanted += [None] * length if is_padding else [page * 4 + length - 1] * length
    first = next((end for end in wanted if end is not None), -1)
    found = _torch.last_slots_of_all(torch.tensor(slots, dtype=torch.int64), 4)
    assert found.tolist() == [first if end is None else end for end in wanted]


@pytest.mark.parametrize("minmax", [False, True])
def test_both_ways_to_the_last_slots_write_the_same(*, minmax: bool) -> None:
    k_cache = torch.randn(5, 4, 2, 8)
    slots = torch.tensor([4, 5, 6, 7, 12, -1, -1])
    kmeta = torch.zeros((5, 2, 2, 8) if minmax else (5, 2, 8))
    other = kmeta.clone()
    _torch._update(k_cache, _torch.last_slots(slots, 4), kmeta, None, is_minmax=minmax)
    _torch._update(k_cache, _torch.last_slots_of_all(slots, 4), other, None, is_minmax=minmax)
    assert torch.equal(kmeta, other)
    untouched = kmeta.clone()
    _torch._update(k_cache, _torch.last_slots_of_all(torch.tensor([-1, -1]), 4), kmeta, None, is_minmax=minmax)
    assert torch.equal(kmeta, untouched)


def test_a_long_write_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_torch, "_GATHERED", 2 * 64)
    k_cache, kmeta = torch.randn(7, 4, 2, 8), torch.zeros(7, 2, 8)
    wanted = reference.update(k_cache, torch.arange(28), kmeta, "mean")
    _torch.update(k_cache, torch.arange(28), kmeta, None, is_minmax=False)
    close(kmeta, wanted, torch.float32, 4)
