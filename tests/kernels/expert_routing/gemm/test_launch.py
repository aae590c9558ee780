import pytest
import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.expert_routing.gemm.launch import OP, constants, multiply, refusal
from headrace.kernels.expert_routing.gemm.product import Product
from tests.kernels.expert_routing.gemm.cases import Case

pytestmark = pytest.mark.engine_env


def _product(case: Case) -> Product:
    experts = case.weights()
    return Product(case.a(), experts.w, experts.scale, experts.zp, case.top_k, None, swiglu=False)


@pytest.mark.parametrize(
    ("case", "block_k", "reason"),
    [
        (Case(), 64, None),
        (Case(block_m=8), 64, "block-m"),
        (Case(block_m=48), 64, "block-m"),
        (Case(bits=4, group=32), 128, None),
        (Case(bits=8, group=128, k=256), 64, None),
        (Case(bits=4, group=24, k=96), 128, "group-size"),
        (Case(bits=4, group=None, k=72), 128, None),
        (Case(bits=4, k=76), 128, "int4-alignment"),
        (Case(bits=8, k=77), 64, None),
    ],
    ids=str,
)
def test_what_the_kernel_takes_is_told_by_a_lasting_word(case: Case, block_k: int, reason: str | None) -> None:
    assert refusal(_product(case), case.block_m, block_k) == reason


def test_int4_that_starts_between_words_is_refused() -> None:
    product = _product(Case(bits=4, k=64, n=4))
    shifted = torch.zeros(5 * 4 * 32 + 1, dtype=torch.uint8)[1:].view(5, 4, 32)
    moved = Product(product.a, shifted, product.scale, None, 2, None, swiglu=False)
    assert refusal(moved, 16, 128) == "int4-alignment"


@pytest.mark.parametrize(("block_m", "is_permuted"), [(16, True), (32, True), (64, False), (128, False)])
def test_only_decode_tiles_of_integers_reorder_k(block_m: int, *, is_permuted: bool) -> None:
    tile = {"block_n": 64, "block_k": 64, "group_m": 1}
    assert constants(_product(Case(bits=8)), block_m, tile)["PERMUTE"] is is_permuted
    assert constants(_product(Case(bits=16)), block_m, tile)["PERMUTE"] is False


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "gfx942"])
@pytest.mark.parametrize("bits", [4, 8, 16, 32])
@pytest.mark.parametrize("block_m", [16, 32, 64, 128])
def test_every_tile_takes_the_groups_that_are_promised(arch: str, bits: int, block_m: int) -> None:
    tile = tuned.choose(OP, arch, block_m=block_m, bits=bits)
    assert set(tile) == {"block_n", "block_k", "group_m", "num_warps", "num_stages"}
    for group in (32, 64, 128):
        assert tile["block_k"] % group == 0 or group % tile["block_k"] == 0
    assert tile["block_k"] >= 32


def test_rows_that_no_block_names_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")
    case = Case(dropped=0.5)
    product, align = _product(case), case.align()
    out = torch.full((14, case.n), 7.0, dtype=case.dtype)
    multiply(product, align, out)
    named = {int(row) for row in align[0] if row < 14}
    assert all(bool((out[row] == 7).all()) == (row not in named) for row in range(14))
