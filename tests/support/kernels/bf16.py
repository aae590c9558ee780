"""Make Triton's interpreter compute bfloat16 as a GPU does; as released it takes the 16 bits for an integer.

Meanwhile every floating operation of the interpreter widens its bfloat16 operands to float32, works there, and rounds
to nearest even, subnormals kept, as torch does. For `+ - * /` and square roots one rounding after float32 is the
correctly rounded result. A sum or scan over an axis adds in float32 and rounds once. Not safe across threads.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.interpreter import InterpreterBuilder, ReduceOps, ScanOps, TensorHandle

QUIET_NAN: Final = np.uint16(0x7FC0)
_COMPARES: Final = [f"create_fcmp{order}{sense}" for order in "OU" for sense in ("LT", "GT", "LE", "GE", "EQ", "NE")]
_FLOATING: Final = [
    "create_fadd", "create_fsub", "create_fmul", "create_fdiv", "create_frem", "create_fneg", "create_precise_divf",
    "create_approx_divf", "create_minimumf", "create_maximumf", "create_minnumf", "create_maxnumf", "create_clampf",
    "create_cos", "create_sin", "create_exp", "create_exp2", "create_log", "create_log2", "create_sqrt", "create_erf",
    "create_precise_sqrt", "create_rsqrt", "create_floor", "create_ceil", "create_fma", "create_dot",
]  # fmt: skip


def widen(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of bfloat16 `bits` (uint16); exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values: np.ndarray) -> np.ndarray:
    """Return the bfloat16 bits (uint16) nearest to float32 `values`, ties to even; any NaN becomes the quiet one."""
    wide = np.ascontiguousarray(values, dtype=np.float32)
    bits = wide.view(np.uint32).reshape(values.shape)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1)))) >> 16
    return np.where(np.isnan(values), QUIET_NAN, rounded.astype(np.uint16))


@contextmanager
def exact_bf16() -> Iterator[None]:
    """Let kernels launched in the interpreter meanwhile compute bfloat16 right."""
    with ExitStack() as stack, np.errstate(all="ignore"):
        for name in _FLOATING:
            _replace(stack, InterpreterBuilder, name, _floating)
        for name in _COMPARES:
            _replace(stack, InterpreterBuilder, name, _comparing)
        _replace(stack, InterpreterBuilder, "cast_impl", _casting)
        _replace(stack, InterpreterBuilder, "create_fp_to_fp", _casting)
        for owner, names in ((ReduceOps, ("min_max", "sum")), (ScanOps, ("cumsum", "cumprod"))):
            for name in names:
                _replace(stack, owner, name, _reducing)
        yield


def _replace(stack: ExitStack, owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
    stack.enter_context(patch.object(owner, name, wrap(getattr(owner, name))))


def _is_bf16(value: object) -> bool:
    return isinstance(value, TensorHandle) and value.dtype.scalar == tl.bfloat16 and value.data.dtype == np.uint16


def _widened(value: Any) -> Any:
    return TensorHandle(widen(value.data), tl.float32) if _is_bf16(value) else value


def _narrowed(value: TensorHandle) -> TensorHandle:
    return TensorHandle(narrow(value.data), tl.bfloat16)


def _floating(original: Callable[..., TensorHandle]) -> Callable[..., TensorHandle]:
    """Wrap an operation whose result has the type of its last tensor: a product's is that of what it adds to."""

    def compute(builder: InterpreterBuilder, *operands: Any) -> TensorHandle:
        handles = [operand for operand in operands if isinstance(operand, TensorHandle)]
        if not any(_is_bf16(handle) for handle in handles):
            return original(builder, *operands)
        result = original(builder, *(_widened(operand) for operand in operands))
        return _narrowed(result) if _is_bf16(handles[-1]) else result

    return compute


def _comparing(original: Callable[..., TensorHandle]) -> Callable[..., TensorHandle]:
    def compare(builder: InterpreterBuilder, lhs: TensorHandle, rhs: TensorHandle) -> TensorHandle:
        if not _is_bf16(lhs):
            return original(builder, lhs, rhs)
        return TensorHandle(original(builder, _widened(lhs), _widened(rhs)).data, tl.int1)

    return compare


def _casting(original: Callable[..., TensorHandle]) -> Callable[..., TensorHandle]:
    def cast(builder: InterpreterBuilder, source: TensorHandle, wanted: Any, *rounding: Any) -> TensorHandle:
        to_bf16 = wanted.scalar == tl.bfloat16
        if not to_bf16 and not _is_bf16(source):
            return original(builder, source, wanted, *rounding)
        wide = _widened(source)
        if not to_bf16:
            return (
                original(builder, wide, wanted, *rounding) if wanted.scalar.is_fp8() else _plainly(wide, wanted.scalar)
            )
        if wide.data.dtype.kind == "u" and wide.dtype.scalar.is_fp8():
            wide = original(builder, wide, tl.float32, *rounding)
        if rounding and rounding[0] == interpreter._ir.ROUNDING_MODE.RTZ:
            return TensorHandle((wide.data.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), tl.bfloat16)
        return TensorHandle(narrow(wide.data.astype(np.float32)), tl.bfloat16)

    return cast


def _plainly(wide: TensorHandle, wanted: Any) -> TensorHandle:
    return TensorHandle(wide.data.astype(interpreter._get_np_dtype(wanted)), wanted)


def _reducing(original: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(ops: Any, given: Any, *reducers: Any, **named: Any) -> Any:
        first = given[0] if isinstance(given, tuple) else given
        if not _is_bf16(first.handle):
            return original(ops, given, *reducers, **named)
        wide = ops.to_tensor(widen(first.handle.data), tl.float32)
        found = original(ops, wide, *reducers, **named)
        several = found if isinstance(found, (tuple, list)) else [found]
        rounded = [_rounded(ops, one) if one.dtype.scalar == tl.float32 else one for one in several]
        return type(found)(rounded) if isinstance(found, (tuple, list)) else rounded[0]

    return reduce


def _rounded(ops: Any, wide: Any) -> Any:
    bits = narrow(wide.handle.data)
    return ops.to_tensor(bits if wide.shape else bits.item(), tl.bfloat16)
