import pytest
import torch

from headrace.kernels.sparse_attention.page_stats import Method, reference, update_page_stats
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.canaries import guard, guarded
from tests.support.kernels.strides import far
from tests.support.kernels.tolerance import close

pytestmark = pytest.mark.usefixtures("kernels")

METHODS = pytest.mark.parametrize("method", ["mean", "minmax"])


@METHODS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_kernel_is_the_reference_and_writes_nothing_else(method: Method, dtype: torch.dtype) -> None:
    k_cache = guard(torch.randn(5, 33, 2, 20).to(dtype))
    slots = torch.tensor([*range(33, 66), 4 * 33 + 16, 2 * 33, -1, 7])
    shape = (5, 2, 2, 20) if method == "minmax" else (5, 2, 20)
    kmeta = guarded(shape, dtype, 3.0)
    slots_ = guard(slots)
    wanted = reference.update(k_cache.tensor, slots, kmeta.tensor, method)
    with exact_bf16():
        update_page_stats(k_cache.tensor, slots_.tensor, kmeta.tensor, method=method)
    close(kmeta.tensor, wanted, dtype, 1)
    kmeta.check()
    k_cache.check()
    slots_.check()


@METHODS
def test_minima_and_maxima_of_16_bits_are_exact(method: Method) -> None:
    k_cache = torch.randn(2, 16, 1, 16).half()
    kmeta = torch.zeros((2, 2, 1, 16) if method == "minmax" else (2, 1, 16)).half()
    update_page_stats(k_cache, torch.arange(16, 32), kmeta, method=method)
    if method == "minmax":
        assert torch.equal(kmeta[1], torch.stack([k_cache[1].amin(0), k_cache[1].amax(0)]))
    else:
        close(kmeta[1], k_cache[1].double().mean(0), torch.float16, 1)


def test_any_layout_of_the_cache_is_followed_past_32_bits() -> None:
    both = torch.randn(3, 2, 4, 1, 16)
    k_cache = far(both)[:, 0]
    kmeta = far(torch.zeros(3, 1, 16))
    update_page_stats(k_cache, torch.arange(8, 11), kmeta)
    close(kmeta[2], both[2, 0, :3].double().mean(0), torch.float32, 4)
    by_head = torch.randn(3, 2, 4, 16).transpose(1, 2)
    kmeta = torch.zeros(3, 2, 16)
    update_page_stats(by_head, torch.arange(4, 8), kmeta)
    close(kmeta[1], by_head[1].double().mean(0), torch.float32, 4)


def test_padding_reads_and_writes_nothing() -> None:
    kmeta = guarded((2, 1, 16), torch.float32)
    update_page_stats(torch.randn(2, 4, 1, 16), torch.tensor([-1, -5]), kmeta.tensor)
    assert bool(kmeta.tensor.isnan().all())
    kmeta.check()


@pytest.mark.full
@METHODS
@pytest.mark.parametrize("page", [16, 32, 64, 256])
@pytest.mark.parametrize("size", [64, 80, 128, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_every_size_is_the_reference(method: Method, page: int, size: int, dtype: torch.dtype) -> None:
    k_cache = torch.randn(3, page, 2, size).to(dtype)
    kmeta = torch.zeros((3, 2, 2, size) if method == "minmax" else (3, 2, size)).to(dtype)
    slots = torch.tensor([*range(page), 2 * page + page // 2])
    wanted = reference.update(k_cache, slots, kmeta, method)
    update_page_stats(k_cache, slots, kmeta, method=method)
    close(kmeta, wanted, dtype, page)
