"""Which path an op takes, its Triton kernel or torch, and how often and why the kernel was refused.

`HEADRACE_KERNELS` chooses: `auto` (the kernel where it can), `triton` (the kernel or an error), `torch`, `off` (torch,
and the plug-in hooks nothing). Nothing here imports triton: an environment without it takes torch.
"""

import importlib.util
import os
import threading
from collections import Counter
from functools import cache
from typing import Final, Literal, cast, get_args

import torch

Mode = Literal["auto", "triton", "torch", "off"]
MODE_VARIABLE: Final = "HEADRACE_KERNELS"
NO_TRITON: Final = "no-triton"
NO_GPU: Final = "no-gpu"

_counts: Final[Counter[tuple[str, str]]] = Counter()
_lock: Final = threading.Lock()


class KernelRefused(NotImplementedError):
    """`HEADRACE_KERNELS=triton` insists on a kernel that cannot serve this call."""


def mode() -> Mode:
    """Return what `HEADRACE_KERNELS` says, `auto` where it is unset. Raises ValueError naming the known words."""
    word = os.environ.get(MODE_VARIABLE, "auto")
    if word not in get_args(Mode):
        raise ValueError(f"{MODE_VARIABLE}={word!r}: write one of {', '.join(get_args(Mode))}")
    return cast("Mode", word)


def uses_triton(op: str, device: torch.device, unsupported: str | None = None) -> bool:
    """Tell whether `op` runs its kernel; a refusal is counted with its reason.

    unsupported: a short lasting word for why the kernel cannot take this shape (`head-dim`), None where it can.
    Raises KernelRefused instead of refusing where `HEADRACE_KERNELS=triton`.
    """
    wanted = mode()
    if wanted in {"torch", "off"}:
        return False
    reason = unsupported or _missing(device)
    if reason is None:
        return True
    if wanted == "triton":
        raise KernelRefused(f"{op}: {reason} on {device.type}, and {MODE_VARIABLE}=triton; set it to auto")
    refuse(op, reason)
    return False


def is_interpreted() -> bool:
    """Tell whether Triton kernels run in its interpreter, on CPU tensors: for tests, never for service."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def refuse(op: str, reason: str) -> None:
    """Count one refusal."""
    with _lock:
        _counts[op, reason] += 1


def refusals() -> dict[tuple[str, str], int]:
    """Return how often each (op, reason) was refused in this process so far."""
    with _lock:
        return dict(_counts)


def forget_refusals() -> None:
    """Begin to count anew."""
    with _lock:
        _counts.clear()


def _missing(device: torch.device) -> str | None:
    if not _has_triton():
        return NO_TRITON
    return None if device.type == "cuda" or is_interpreted() else NO_GPU


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
