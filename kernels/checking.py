"""What every public op asks of its arguments; each error names the argument, what it is and what it should be.

Shapes, types and devices cost nothing and are always checked. Values (ids, counts, pages) would make the host wait for
a GPU, so they are checked on CPU tensors, and everywhere with `HEADRACE_KERNELS_CHECK=1`; kernels mask what is out of
range.
"""

import os
from collections.abc import Sequence
from typing import Final

import torch

CHECK_VARIABLE: Final = "HEADRACE_KERNELS_CHECK"


def check_shape(name: str, tensor: torch.Tensor, *wanted: int | str) -> None:
    """Raise ValueError unless `tensor` has these sizes; a word stands for any size (`T`)."""
    fits = tensor.dim() == len(wanted) and all(
        isinstance(size, str) or have == size for have, size in zip(tensor.shape, wanted, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; wanted [{', '.join(map(str, wanted))}]")


def check_dtype(name: str, tensor: torch.Tensor, *wanted: torch.dtype) -> None:
    """Raise TypeError unless `tensor` has one of these types."""
    if tensor.dtype not in wanted:
        raise TypeError(f"{name} has dtype {tensor.dtype}; wanted {' or '.join(map(str, wanted))}")


def check_devices(**tensors: torch.Tensor | None) -> None:
    """Raise ValueError unless all tensors are on the device of the first."""
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first = next(iter(present))
    for name, tensor in present.items():
        if tensor.device != present[first].device:
            raise ValueError(f"{name} is on {tensor.device} and {first} on {present[first].device}; wanted one device")


def check_last_contiguous(**tensors: torch.Tensor | None) -> None:
    """Raise ValueError unless the last axis of each tensor is contiguous."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.dim() and tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
            raise ValueError(f"{name} has strides {tensor.stride()}; wanted 1 on the last axis: call .contiguous()")


def check_choice(name: str, value: str, wanted: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of the words."""
    if value not in wanted:
        raise ValueError(f"{name}={value!r}; wanted one of {', '.join(wanted)}")


def check_range(name: str, tensor: torch.Tensor, low: int, high: int) -> None:
    """Raise ValueError unless low <= every value <= high, where values are checked (see above)."""
    if not tensor.numel() or not values_are_checked(tensor):
        return
    least, most = (int(one) for one in torch.aminmax(tensor))
    if least < low or most > high:
        raise ValueError(f"{name} has values {least}..{most}; wanted {low}..{high}")


def values_are_checked(tensor: torch.Tensor) -> bool:
    """Tell whether the values of `tensor` may be looked at on the host."""
    if tensor.device.type == "meta" or torch.compiler.is_compiling():
        return False
    return tensor.device.type == "cpu" or os.environ.get(CHECK_VARIABLE) == "1"
