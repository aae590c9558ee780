from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch

from headrace.kernels.inspect.bytes_moved import counting
from tests.kernels.sparse_attention.decode.cases import Case, quantized, requests
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.strides import far

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.fixture(autouse=True)
def _numbers_as_a_gpu_has_them() -> Iterator[None]:
    """Let exp of a large number be inf without a word: the interpreter's numpy would warn."""
    with np.errstate(all="ignore"):
        yield


SOME = {
    "ragged, split in three": lambda: requests((33, 160), (0, 1), (16, 300), num_splits=3),
    "more parts than tiles": lambda: requests((70, 5), num_splits=8, group=1),
    "seven heads, a page is a tile, fp16": lambda: requests(
        (130,), group=7, head_dim=128, page=64, dtype=torch.float16, softcap=3.0
    ),
    "a head of 96, pages of 32": lambda: requests((90,), group=8, head_dim=96, page=32, scale=0.2, num_splits=2),
    "more heads than a tile of 16 has rows": lambda: requests((40,), group=18),
    "int8, in words": lambda: quantized(requests((33, 150), (0, 17), num_splits=2)),
    "int8, a head of 96, fp16": lambda: quantized(requests((70,), head_dim=96, dtype=torch.float16, softcap=5.0)),
}


@pytest.mark.parametrize("name", SOME)
def test_it_answers_as_the_reference_does_and_stays_inside_its_buffers(name: str) -> None:
    case = SOME[name]()
    case.agrees(case.run_guarded())


@pytest.mark.parametrize("is_int8", [False, True])
def test_bfloat16_is_rounded_as_a_gpu_rounds(is_int8: bool) -> None:
    case = requests((33, 150), dtype=torch.bfloat16, num_splits=2)
    case = quantized(case) if is_int8 else case
    with exact_bf16():
        case.agrees(case.run_guarded())


@pytest.mark.parametrize("page", [16, 128])
def test_a_page_that_does_not_exist_holds_no_tokens(page: int) -> None:
    case = requests((300,), page=page, num_splits=2)
    case.pages[0, 0, 0], case.pages[0, 0, 1] = 10_000, -3
    case.agrees(case.run_guarded())


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_a_nan_in_one_query_stays_in_its_row() -> None:
    case = requests((40, 40), num_splits=2)
    case.q[0, 2, 5] = float("nan")
    out, lse = case.run()
    assert bool(out[0, 2].isnan().all())
    assert bool(lse[0, 2].isnan())
    assert int(out.isnan().any(2).sum()) == int(lse.isnan().sum()) == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("is_int8", [False, True])
def test_addresses_do_not_wrap_at_two_to_the_31(axis: int, is_int8: bool) -> None:
    near = requests((37, 20), group=2, num_splits=2)
    near = quantized(near) if is_int8 else near
    apart: Case = near.but(k_cache=far(near.k_cache, axis=axis), v_cache=far(near.v_cache, axis=axis))
    near.agrees(apart.run())


def test_requests_more_than_2_to_the_31_elements_apart_are_found() -> None:
    case = requests((5,), (6,), (7,))
    case.agrees(case.but(q=far(case.q)).run())


@pytest.mark.parametrize("splits", [1, 2])
def test_each_key_and_value_is_read_once(splits: int) -> None:
    case = requests((512,), group=8, head_dim=128, page=64, num_splits=splits)
    with counting() as tally:
        case.run()
    assert tally.issued <= 1.15 * 2 * 512 * 128 * case.k_cache.element_size()


@pytest.mark.full
@pytest.mark.parametrize(
    ("head_dim", "group", "page", "is_int8"), list(product([64, 96, 128], [1, 7], [16, 32, 64], [False, True]))
)
def test_it_answers_as_the_reference_does_over_the_long_matrix(
    head_dim: int, group: int, page: int, is_int8: bool
) -> None:
    case = requests((33, 160), (0, 1), (64, 200), group=group, head_dim=head_dim, page=page, dtype=torch.float16)
    case = quantized(case) if is_int8 else case
    for splits in (None, 3):
        case.agrees(case.but(num_splits=splits).run_guarded())
