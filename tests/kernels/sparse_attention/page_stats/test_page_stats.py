from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernels import dispatch
from headrace.kernels.sparse_attention.page_stats import (
    Method,
    _update_page_stats,
    new_page_stats,
    reference,
    update_page_stats,
)
from tests.support.kernels.tolerance import close

PATHS = pytest.mark.parametrize("path", ["torch", "triton"])
METHODS = pytest.mark.parametrize("method", ["mean", "minmax"])
PAGE = 4


@pytest.fixture(autouse=True)
def _on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda path: monkeypatch.setenv(dispatch.MODE_VARIABLE, path)


def cache(pages: int = 6, page: int = PAGE, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(pages, page, 2, 24, generator=torch.Generator().manual_seed(seed)).to(dtype)


def poisoned(k_cache: torch.Tensor, method: Method) -> torch.Tensor:
    pages, _, kv_heads, size = k_cache.shape
    return torch.full((pages, 2, kv_heads, size) if method == "minmax" else (pages, kv_heads, size), -777.0)


@PATHS
@METHODS
def test_a_page_is_summed_up_to_the_last_token_written_and_no_further(
    path: str, method: Method, take: Callable[[str], None]
) -> None:
    take(path)
    k_cache = cache()
    kmeta = poisoned(k_cache, method)
    slots = torch.tensor([8, 9, 10, 21, 22, -1, 15, 0, -1], dtype=torch.int32)
    wanted = reference.update(k_cache, slots, kmeta, method)
    update_page_stats(k_cache, slots, kmeta, method=method)
    close(kmeta, wanted, torch.float32, PAGE)
    assert bool((kmeta[[1, 4]] == -777).all())


@PATHS
@METHODS
def test_a_page_used_again_forgets_what_it_held(path: str, method: Method, take: Callable[[str], None]) -> None:
    take(path)
    k_cache = cache()
    k_cache[3] = 1e6
    kmeta = poisoned(k_cache, method)
    update_page_stats(k_cache, torch.arange(12, 16), kmeta, method=method)
    k_cache[3, :2] = cache(seed=1)[0, :2]
    update_page_stats(k_cache, torch.tensor([12, 13]), kmeta, method=method)
    assert float(kmeta[3].max()) < 100


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 5), min_size=1, max_size=6), minmax=st.booleans())
def test_writing_in_steps_ends_in_what_writing_at_once_gives(cuts: list[int], *, minmax: bool) -> None:
    method: Method = "minmax" if minmax else "mean"
    k_cache = cache(pages=9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(sum(cuts)))
    slots = (order[:, None] * PAGE + torch.arange(PAGE)).flatten()[: sum(cuts)]
    stepwise, at_once = poisoned(k_cache, method), poisoned(k_cache, method)
    for part in slots.split(cuts):
        update_page_stats(k_cache, part, stepwise, method=method)
    update_page_stats(k_cache, slots, at_once, method=method)
    assert torch.equal(stepwise, at_once)


@PATHS
def test_a_nan_spoils_its_own_dimension_alone(path: str, take: Callable[[str], None]) -> None:
    take(path)
    k_cache = cache()
    k_cache[1, 2, 1, 5] = torch.nan
    for method in ("mean", "minmax"):
        kmeta = poisoned(k_cache, method)
        update_page_stats(k_cache, torch.arange(4, 8), kmeta, method=method)
        spoilt = kmeta.isnan().nonzero()
        assert spoilt[:, [0, -2, -1]].tolist() == [[1, 1, 5]] * (2 if method == "minmax" else 1)


@PATHS
@METHODS
def test_nothing_written_changes_nothing(path: str, method: Method, take: Callable[[str], None]) -> None:
    take(path)
    k_cache = cache()
    kmeta = poisoned(k_cache, method)
    update_page_stats(k_cache, torch.tensor([], dtype=torch.int64), kmeta, method=method)
    update_page_stats(k_cache, torch.tensor([-1, -1]), kmeta, method=method)
    update_page_stats(k_cache[:0], torch.tensor([-1]), kmeta[:0], method=method)
    assert bool((kmeta == -777).all())


def test_a_head_too_long_for_the_kernel_is_counted_and_served(take: Callable[[str], None]) -> None:
    take("auto")
    k_cache = torch.randn(2, 4, 1, 300)
    kmeta = torch.zeros(2, 1, 300)
    update_page_stats(k_cache, torch.arange(4), kmeta)
    close(kmeta[0], k_cache[0].double().mean(0), torch.float32, 4)
    assert dispatch.refusals() == {("update_page_stats", "head-dim"): 1}


@PATHS
@METHODS
def test_rows_of_an_int8_cache_are_scaled(path: str, method: Method, take: Callable[[str], None]) -> None:
    take(path)
    k_scale = torch.rand(6, PAGE, 2).transpose(1, 2).contiguous().transpose(1, 2)
    k_cache = (cache() * 40).round().to(torch.int8)
    kmeta = poisoned(k_cache, method)
    slots = torch.tensor([8, 9, 10, 20, 21, 22, 23])
    wanted = reference.update(k_cache, slots, kmeta, method, k_scale)
    update_page_stats(k_cache, slots, kmeta, method=method, k_scale=k_scale)
    close(kmeta, wanted, torch.float32, PAGE)


def test_statistics_of_an_int8_cache_need_a_type_and_pages_twice_as_long() -> None:
    k_cache = torch.zeros(2, 64, 1, 8, dtype=torch.int8)
    assert new_page_stats(k_cache, method="minmax", dtype=torch.bfloat16).nbytes * 16 == k_cache.nbytes
    with pytest.raises(ValueError, match="takes 4/63 of the keys' bytes; wanted at most 1/16: pages of 64 or more"):
        new_page_stats(k_cache[:, :63], method="minmax", dtype=torch.bfloat16)
    with pytest.raises(TypeError, match="dtype of the statistics has dtype torch"):
        new_page_stats(k_cache)


@METHODS
def test_room_is_a_sixteenth_of_the_keys_at_most(method: Method) -> None:
    least = 32 if method == "minmax" else 16
    k_cache = cache(page=least, dtype=torch.bfloat16)
    kmeta = new_page_stats(k_cache, method=method)
    assert kmeta.nbytes * 16 == k_cache.nbytes
    assert kmeta.dtype == torch.bfloat16
    update_page_stats(k_cache, torch.arange(3), kmeta, method=method)
    with pytest.raises(ValueError, match=f"pages of {least - 1} tokens .* pages of {least} or more"):
        new_page_stats(cache(page=least - 1), method=method)


@METHODS
def test_the_op_is_registered_as_torch_asks(method: Method) -> None:
    k_cache = cache()
    given_ = (k_cache, torch.tensor([4, 5, -1]), poisoned(k_cache, method), None)
    torch.library.opcheck(_update_page_stats, given_, {"is_minmax": method == "minmax"})


def test_an_update_compiles_into_one_graph() -> None:
    k_cache = cache()

    def updated(slots: torch.Tensor, kmeta: torch.Tensor) -> torch.Tensor:
        update_page_stats(k_cache, slots, kmeta)
        return kmeta + 1

    slots = torch.tensor([4, 5, 6])
    compiled = torch.compile(updated, fullgraph=True, backend="eager")
    found = compiled(slots, poisoned(k_cache, "mean"))
    assert torch.equal(found, updated(slots, poisoned(k_cache, "mean")))


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"k_cache": torch.zeros(6, 4, 48)}, ValueError, r"k_cache has shape \(6, 4, 48\)"),
        ({"k_cache": torch.zeros(6, 4, 2, 24).byte()}, TypeError, "k_cache without k_scale has dtype torch.uint8"),
        (
            {"k_scale": torch.zeros(6, 4, 2)},
            TypeError,
            "k_cache with k_scale has dtype torch.float32; wanted torch.int8",
        ),
        (
            {"k_cache": torch.zeros(6, 4, 2, 24, dtype=torch.int8), "k_scale": torch.zeros(6, 4)},
            ValueError,
            r"k_scale has shape \(6, 4\); wanted \[6, 4, 2\]",
        ),
        ({"kmeta": torch.zeros(6, 2, 16)}, ValueError, r"kmeta has shape \(6, 2, 16\); wanted \[6, 2, 24\]"),
        ({"method": "minmax"}, ValueError, r"wanted \[6, 2, 2, 24\]"),
        ({"method": "max"}, ValueError, "method='max'; wanted one of mean, minmax"),
        ({"slots": torch.zeros(3)}, TypeError, "slots has dtype torch.float32"),
        ({"slots": torch.zeros(3, 1).int()}, ValueError, r"slots has shape \(3, 1\); wanted \[N\]"),
        ({"slots": torch.tensor([3, 24])}, ValueError, "slots has values 3..24; wanted -1..23"),
        ({"slots": torch.tensor([1, 4, 2])}, ValueError, "slots return to page 0"),
        ({"slots": torch.tensor([1, -1, 2])}, ValueError, "slots return to page 0"),
        ({"slots": torch.tensor([5, 1, 1])}, ValueError, "slots go from 1 to 1 in a page"),
        ({"kmeta": torch.zeros(6, 2, 24, device="meta")}, ValueError, "kmeta is on meta and k_cache on cpu"),
        ({"k_cache": torch.zeros(6, 4, 24, 2).mT}, ValueError, r"k_cache has strides \(192, 48, 1, 2\)"),
    ],
)
def test_what_does_not_fit_is_told_with_both_values(changes: dict[str, Any], error: type[Exception], told: str) -> None:
    given_ = {"k_cache": cache(), "slots": torch.tensor([0]), "kmeta": torch.zeros(6, 2, 24), "method": "mean"}
    with pytest.raises(error, match=told):
        update_page_stats(**(given_ | changes))
