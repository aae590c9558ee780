from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch

from headrace.kernels import tuned
from tests.kernels.sparse_attention.prefill.cases import Case, prompt, ragged, thinned
from tests.support.kernels.bf16 import exact_bf16
from tests.support.kernels.strides import far
from tests.support.kernels.tolerance import close

pytestmark = [pytest.mark.engine_env, pytest.mark.usefixtures("kernels")]


@pytest.fixture(autouse=True)
def _numbers_as_a_gpu_has_them() -> Iterator[None]:
    """Let exp of a large number be inf without a word: the interpreter's numpy would warn."""
    with np.errstate(all="ignore"):
        yield


SOME = {
    "ragged, a page is less than a tile": ragged,
    "seven heads share a KV head, window, sinks and soft-cap, fp16": lambda: thinned(
        prompt(
            (9, 75), heads=7, head_dim=128, page=32, block_kv=64, dtype=torch.float16, window=21, sink=3, softcap=4.0
        )
    ),
    "a page is a tile, a head of 96, fp16": lambda: thinned(
        prompt((5, 70), (3, 3), heads=2, head_dim=96, page=64, block_kv=64, dtype=torch.float16, scale=0.3)
    ),
    "two tiles a block of keys, two tiles a block of queries": lambda: prompt(
        (70, 130), heads=1, block_q=128, block_kv=128, page=16, window=40
    ),
}


@pytest.mark.parametrize("name", SOME)
def test_it_answers_as_the_reference_does_and_stays_inside_its_buffers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "two tiles" in name:
        row = {"block_m": 64, "block_n": 64, "num_warps": 4, "num_stages": 3}
        monkeypatch.setattr(tuned, "choose", lambda *_, **__: row)
    case = SOME[name]()
    case.agrees(case.run_guarded())


def test_bfloat16_is_rounded_as_a_gpu_rounds() -> None:
    case = ragged(dtype=torch.bfloat16, window=30, sink=2)
    with exact_bf16():
        case.agrees(case.run_guarded())


def test_what_nothing_is_listed_for_is_zero_and_minus_infinity() -> None:
    case = prompt((17, 30))
    case.cnt[0, 1] = 0
    out, lse = case.run()
    assert torch.equal(out[16], torch.zeros_like(out[16]))
    assert bool((lse[:, 16] == float("-inf")).all())
    assert bool(out[:16].any())
    assert bool(lse[:, :16].isfinite().all())


def test_a_page_that_does_not_exist_holds_no_keys() -> None:
    case = prompt((3, 60))
    table = case.block_table.clone()
    table[0, 1], table[0, 2] = 10_000, -5
    broken = case.but(block_table=table)
    broken.agrees(broken.run_guarded())


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_a_nan_in_one_query_stays_in_its_row() -> None:
    case = prompt((5, 40))
    case.q[2, 1, 3] = float("nan")
    out, lse = case.run()
    assert bool(out[2, 1].isnan().all())
    assert bool(lse[1, 2].isnan())
    out[2, 1], lse[1, 2] = 0, 0
    assert bool(out.isfinite().all())
    assert bool(lse.isfinite().all())


def _far(case: Case, where: str) -> Case:
    """Return the case with pages, tokens or KV heads of its tensors more than 2^31 elements apart."""
    if where == "tokens":
        return case.but(q=far(case.q))
    axis = 0 if where == "pages" else 2
    return case.but(k_cache=far(case.k_cache, axis=axis), v_cache=far(case.v_cache, axis=axis))


@pytest.mark.parametrize("where", ["pages", "tokens", "KV heads"])
def test_addresses_do_not_wrap_at_two_to_the_31(where: str) -> None:
    case = prompt((3, 37), heads=2, kv_heads=2)
    case.agrees(_far(case, where).run())


def test_a_soft_cap_holds_scores_of_any_size() -> None:
    case = prompt((4, 20), softcap=2.0)
    case = case.but(q=case.q * 1e4)
    out, lse = case.run()
    want, want_lse = case.wanted()
    close(out, want, torch.float32, 64)
    close(lse, want_lse, torch.float32, 64)


@pytest.mark.full
@pytest.mark.parametrize(("head_dim", "group", "page"), list(product([64, 96, 128], [1, 4, 8], [16, 32, 64])))
def test_it_answers_as_the_reference_does_over_the_long_matrix(head_dim: int, group: int, page: int) -> None:
    dtype = torch.float32 if page == 32 else torch.float16
    case = ragged(head_dim=head_dim, heads=2 * group, page=page, dtype=dtype, window=25, sink=page // 8)
    case.agrees(case.run_guarded())
