from collections.abc import Iterator

import numpy as np
import pytest
import torch

from headrace.kernels.sparse_attention.kv_quant import write_int8_kv
from tests.kernels.sparse_attention.kv_quant.cases import caches, some_slots, tokens, wanted
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.canaries import guard
from tests.support.kernels.strides import far

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.fixture(autouse=True)
def _numbers_as_a_gpu_has_them() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("count", "head_dim", "page"), [(33, 64, 16), (7, 96, 32), (1, 128, 16)])
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_it_writes_what_the_reference_writes_bit_for_bit(
    count: int, head_dim: int, page: int, dtype: torch.dtype
) -> None:
    k, v = tokens(count, head_dim=head_dim, dtype=dtype)
    made = [guard(tensor) for tensor in caches(page=page, head_dim=head_dim)]
    slots = some_slots(count, of=5 * page)
    with exact_bf16():
        write_int8_kv(guard(k).tensor, guard(v).tensor, *(one.tensor for one in made), slots)
    for one, want in zip(made, wanted(k, v, slots, caches(page=page, head_dim=head_dim)), strict=True):
        one.check()
        assert torch.equal(one.tensor.nan_to_num(-1.0), want.nan_to_num(-1.0))


def test_addresses_do_not_wrap_at_two_to_the_31() -> None:
    k, v = tokens(9)
    made = caches()
    apart = [far(tensor) for tensor in made]
    slots = some_slots(9, of=80, seed=3)
    write_int8_kv(far(k), v, *apart, slots.int())
    for got, want in zip(apart, wanted(k, v, slots, made), strict=True):
        assert torch.equal(got.nan_to_num(-1.0), want.nan_to_num(-1.0))
