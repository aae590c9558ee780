"""Turn a launch into a variant: what Triton's JIT would make of these very arguments, without launching anything."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, TypeAlias
from unittest.mock import patch

import torch

from headrace.kernels.variant import Variant

Jit: TypeAlias = Any  # a `triton.jit` function, which has no types
Argument: TypeAlias = Any  # whatever a kernel may be given
POINTERS: Final = {
    torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.float32: "*fp32", torch.float64: "*fp64",
    torch.int8: "*i8", torch.uint8: "*u8", torch.int16: "*i16", torch.int32: "*i32", torch.int64: "*i64",
    torch.bool: "*i1", torch.float8_e4m3fn: "*fp8e4nv", torch.float8_e5m2: "*fp8e5",
}  # fmt: skip
ALIGNED_TO: Final = 16
_INT32: Final = 1 << 31
_OPTIONS: Final = {"num_warps": 4, "num_stages": 3}


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a recorded launch is for: the fields of a variant that its arguments do not say."""

    op: str
    role: str
    shape: str
    weights: frozenset[str] = field(default=frozenset())


def recorded(kernel: Jit, given: tuple[Argument, ...], named: Mapping[str, Argument], purpose: Purpose) -> Variant:
    """Return the variant of one launch, specialised as the JIT does: None and 1 are constants, 16 divides or not.

    Tensors may be on the meta device; they count as aligned, which is how they are allocated in service.
    """
    signature = inspect.signature(kernel.fn)
    options = {word: int(named.get(word, least)) for word, least in _OPTIONS.items()}
    bound = signature.bind(*given, **{name: each for name, each in named.items() if name in signature.parameters})
    bound.apply_defaults()
    types: dict[str, str] = {}
    constants: dict[str, Argument] = {}
    aligned = set()
    for parameter in kernel.params:
        value = bound.arguments[parameter.name]
        declared = parameter.annotation_type
        if parameter.is_constexpr or value is None or (type(value) is int and value == 1 and not declared):
            constants[parameter.name] = value
            continue
        types[parameter.name] = declared or _type(value)
        if _is_aligned(value):
            aligned.add(parameter.name)
    return Variant(
        op=purpose.op,
        kernel=kernel,
        role=purpose.role,
        shape=purpose.shape,
        types=types,
        constants=constants,
        aligned=frozenset(aligned),
        num_warps=options["num_warps"],
        num_stages=options["num_stages"],
        weights=purpose.weights,
    )


class Recorder:
    """Stands in for a kernel; `kernel[grid](...)` adds its variant to `found` and launches nothing."""

    def __init__(self, kernel: Jit, purpose: Purpose, found: list[Variant]) -> None:
        self._kernel = kernel
        self._purpose = purpose
        self._found = found

    def __getitem__(self, grid: object) -> Callable[..., None]:
        """Return what records one launch."""

        def launch(*given: Argument, **named: Argument) -> None:
            self._found.append(recorded(self._kernel, given, named, self._purpose))

        return launch


@contextmanager
def recording(module: ModuleType, purposes: Mapping[str, Purpose]) -> Iterator[list[Variant]]:
    """Record the launches of these kernels of `module` meanwhile, by name."""
    found: list[Variant] = []
    with ExitStack() as stack:
        for name, purpose in purposes.items():
            stack.enter_context(patch.object(module, name, Recorder(getattr(module, name), purpose, found)))
        yield found


def _type(value: Argument) -> str:
    if isinstance(value, torch.Tensor):
        return POINTERS[value.dtype]
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i32" if -_INT32 <= value < _INT32 else "i64"
    if isinstance(value, float):
        return "fp32"
    raise TypeError(f"a kernel was given {value!r}; wanted a tensor, a number or None")


def _is_aligned(value: Argument) -> bool:
    if isinstance(value, torch.Tensor):
        return value.data_ptr() % ALIGNED_TO == 0
    return isinstance(value, int) and not isinstance(value, bool) and value % ALIGNED_TO == 0
