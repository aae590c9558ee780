from types import ModuleType

import pytest
import torch
from triton.runtime.jit import JITFunction

from headrace.kernels.inspect.launch import Purpose, recorded, recording
from tests.support.kernels import trial_kernels

PURPOSE = Purpose("op", "decode", "one", frozenset({"w"}))


class _Jitted:
    """What a compiled-mode `triton.jit` function shows of itself; this process has only interpreted ones."""

    def __init__(self) -> None:
        real = JITFunction(trial_kernels.product.fn)
        self.fn, self.params, self.arg_names = real.fn, real.params, real.arg_names


def _tensor(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.bfloat16, device="meta")


def test_a_launch_is_specialised_as_the_jit_would() -> None:
    given = (_tensor(16, 64), _tensor(64, 64), torch.empty(16, 64, device="meta"))
    variant = recorded(_Jitted(), (*given, 64, 33, 1), {"M": 16, "N": 64, "K": 64, "num_warps": 8}, PURPOSE)
    assert variant.types == {"a": "*bf16", "w": "*bf16", "out": "*fp32", "stride_w": "i32", "n": "i32"}
    assert variant.constants == {"k": 1, "M": 16, "N": 64, "K": 64}
    assert variant.aligned == {"a", "w", "out", "stride_w"}
    assert (variant.num_warps, variant.num_stages, variant.weights) == (8, 3, frozenset({"w"}))


def test_large_numbers_bools_and_floats_have_their_own_types_and_none_is_constant() -> None:
    given = (None, True, 0.5, 1 << 40, -3, 16)
    variant = recorded(_Jitted(), given, {"M": 16, "N": 64, "K": 64}, PURPOSE)
    assert variant.types == {"w": "i1", "out": "fp32", "stride_w": "i64", "n": "i32", "k": "i32"}
    assert variant.constants["a"] is None
    assert variant.aligned == {"stride_w", "k"}


def test_what_no_kernel_can_be_given_is_refused() -> None:
    with pytest.raises(TypeError, match="'text'"):
        recorded(_Jitted(), ("text", 1, 1, 1, 1, 1), {"M": 16, "N": 64, "K": 64}, PURPOSE)


def test_recording_launches_nothing_and_puts_the_kernel_back() -> None:
    module = ModuleType("host")
    kernel = module.product = _Jitted()  # type: ignore[attr-defined]  # a module made here
    with recording(module, {"product": PURPOSE}) as found:
        module.product[lambda _: (1,)](_tensor(1), _tensor(1), _tensor(1), 16, 16, 16, M=16, N=64, K=64)
    assert [one.op for one in found] == ["op"]
    assert module.product is kernel
