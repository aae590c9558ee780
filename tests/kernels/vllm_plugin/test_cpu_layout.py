import pytest
import torch
from vllm import _custom_ops
from vllm.v1.attention.backends.cpu_attn import _get_attn_isa

from headrace.kernels.vllm_plugin import cpu_layout
from headrace.kernels.vllm_plugin.cpu_layout import order_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("page", "size"), [(32, 64), (64, 64), (32, 128), (16, 80)])
def test_pages_come_back_as_they_were_written(dtype: torch.dtype, page: int, size: int) -> None:
    torch.manual_seed(0)
    isa, heads, pages = _get_attn_isa(dtype, page, size), 3, 4
    cache = torch.zeros(pages, heads, page, 2 * size, dtype=dtype)
    keys, values = cache.view(pages, heads, page * 2, size).chunk(2, dim=2)
    k, v = torch.randn(2, 2 * page, heads, size).to(dtype)
    slots = torch.cat([torch.arange(page) + 2 * page, torch.arange(page)])  # pages 2 and 0
    _custom_ops.cpu_attn_reshape_and_cache(k, v, keys, values, slots, isa)
    found_k, found_v = order_of(isa, dtype, page=page, head_size=size).unpack(cache[[2, 0]])
    assert torch.equal(found_k.flatten(0, 1), k)
    assert torch.equal(found_v.flatten(0, 1), v)


def test_a_packing_that_loses_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(key: torch.Tensor, value: torch.Tensor, keys: torch.Tensor, *rest: object) -> None:
        del key, value, rest
        keys.fill_(1)

    monkeypatch.setattr(cpu_layout._custom_ops, "cpu_attn_reshape_and_cache", lossy)
    with pytest.raises(RuntimeError, match="isa='new'"):
        order_of("new", torch.float32, page=32, head_size=64)
