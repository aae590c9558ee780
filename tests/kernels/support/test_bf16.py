import numpy as np
import pytest
import torch

from tests.support.kernels import probes
from tests.support.kernels.bf16 import exact_bf16, narrow, widen
from tests.support.kernels.tolerance import close

ALL = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
SPECIAL = torch.tensor(
    [0.0, -0.0, 1.0, -1.0, 3.0, 1 / 3, float("inf"), float("-inf"), float("nan"), 3.3e38, 1e-40, 9e-41]
)
BINARY = ["+", "-", "*", "/", "max", "min", "fma"]
UNARY = ["neg", "abs", "sqrt", "floor", "ceil", "half", "float", "double", "int", "lt", "where", "square"]


def _same_bits(got: torch.Tensor, want: torch.Tensor) -> None:
    assert got.dtype == want.dtype
    numbers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[got.element_size()]
    alike = got.view(numbers) == want.view(numbers)
    if got.is_floating_point():
        alike |= got.isnan() & want.isnan()
    wrong = (~alike).nonzero().flatten()
    assert not wrong.numel(), f"{wrong.numel()} differ, first {got[wrong[0]]} for {want[wrong[0]]}"


def _torch_unary(op: str) -> torch.Tensor:
    where = torch.where(ALL > 0, ALL, torch.tensor(0.1, dtype=torch.bfloat16))
    finite = torch.where(ALL.isfinite() & (ALL.abs() < 2**31), ALL, 0)
    return {
        "neg": -ALL, "abs": ALL.abs(), "sqrt": ALL.sqrt(), "floor": ALL.floor(), "ceil": ALL.ceil(), "half": ALL.half(),
        "float": ALL.float(), "double": ALL.double(), "int": finite.int(), "lt": (ALL < 1.5).int(), "where": where,
        "square": ALL * ALL,
    }[op]  # fmt: skip


@pytest.mark.parametrize("op", UNARY)
def test_every_bf16_value_goes_through_an_operation_as_in_torch(op: str) -> None:
    want = _torch_unary(op)
    given = torch.where(ALL.isfinite() & (ALL.abs() < 2**31), ALL, 0) if op == "int" else ALL
    out = torch.full_like(want, 77)
    with exact_bf16():
        probes.unary[(4,)](given, out, BLOCK=1 << 14, OP=op)
    _same_bits(out, want)


@pytest.mark.parametrize("op", BINARY)
def test_every_bf16_value_meets_special_and_random_ones_as_in_torch(op: str) -> None:
    generator = torch.Generator().manual_seed(3)
    others = [one.expand(len(ALL)) for one in SPECIAL.to(torch.bfloat16)]
    others += [ALL[torch.randperm(len(ALL), generator=generator)] for _ in range(4)]
    x, y = ALL.repeat(len(others)), torch.cat(others)
    exact = (x.double() * y.double() + x.double()).float().bfloat16()
    most, least = (torch.where(x.isnan(), y, torch.where(y.isnan(), x, pick(x, y))) for pick in (torch.max, torch.min))
    wide = {
        "+": x + y, "-": x - y, "*": x * y, "/": x / y, "fma": exact, "max": most, "min": least,
    }  # fmt: skip
    out = torch.full_like(x, float("nan"))
    with exact_bf16():
        probes.binary[(len(others),)](x, y, out, BLOCK=1 << 16, OP=op)
    if op in {"max", "min"}:  # which of two zeros wins is nobody's promise
        out, wide[op] = out + 0.0, wide[op] + 0.0
    _same_bits(out, wide[op])


def test_float32_rounds_to_nearest_even_at_every_exponent_tie_and_subnormal() -> None:
    high = torch.arange(1 << 16, dtype=torch.int64) << 16
    low = torch.tensor([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
    bits = (high[:, None] + low[None, :]).flatten()
    x = torch.where(bits >= 1 << 31, bits - (1 << 32), bits).to(torch.int32).view(torch.float32)
    out = torch.zeros(len(x), dtype=torch.bfloat16)
    with exact_bf16():
        probes.to_bf16[(6,)](x, out, BLOCK=1 << 16)
    _same_bits(out, x.to(torch.bfloat16))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int8, torch.float16, torch.float64, torch.bool])
def test_other_types_become_bf16_as_in_torch(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    x = (torch.randn(1 << 12, generator=generator) * 1000).to(dtype)
    out = torch.full((1 << 12,), float("nan"), dtype=torch.bfloat16)
    with exact_bf16():
        probes.to_bf16[(1,)](x, out, BLOCK=1 << 12)
    _same_bits(out, x.to(torch.bfloat16))


def test_a_dot_of_bf16_is_the_float32_sum_of_exact_products() -> None:
    generator = torch.Generator().manual_seed(5)
    a, b = (torch.randn(shape, generator=generator).bfloat16() for shape in ((16, 64), (64, 32)))
    out = torch.full((16, 32), float("nan"))
    with exact_bf16():
        probes.dot[(1,)](a, b, out, M=16, N=32, K=64)
    close(out, a.double() @ b.double(), torch.float32, 64)


def test_reductions_and_scans_of_bf16_add_in_float32_and_round_once() -> None:
    x = torch.tensor([1.0, 2**-9, 2**-9, 2**-9, 3.5, -1.0, 3.5, 0.25]).bfloat16()
    out = torch.full((11,), float("nan"), dtype=torch.bfloat16)
    with exact_bf16():
        probes.reduce[(1,)](x, out, N=8)
    assert out[:3].tolist() == [x.float().sum().bfloat16().item(), 3.5, 4.0]
    _same_bits(out[3:], x.float().cumsum(0).bfloat16())


def test_outside_the_context_the_interpreter_is_as_it_was() -> None:
    x = torch.tensor([1.5, 2.5] * 8).bfloat16()
    out = torch.zeros_like(x)
    with exact_bf16():
        probes.binary[(1,)](x, x, out, BLOCK=16, OP="+")
    assert torch.equal(out, x + x)
    probes.binary[(1,)](x, x, out, BLOCK=16, OP="+")
    assert not torch.equal(out, x + x)


def test_widening_and_narrowing_undo_each_other() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    numbers = ~np.isnan(widen(bits))
    assert np.array_equal(narrow(widen(bits))[numbers], bits[numbers])
