"""Buffers with canary pages on both sides and in every gap, because the interpreter reads and writes anywhere.

`guarded` makes one, filled with NaN or a poison integer; `guard` makes one from values; `allocations_guarded` gives
what an op allocates for itself the same treatment. A read past the end shows as NaN, a write past it in `check`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final
from unittest.mock import patch

import torch

PAGE_BYTES: Final = 4096
POISON: Final = 77
QUIET_NAN: Final = {2: 0x7E7F, 4: 0x7FC0_7FC1, 8: 0x7FF8_7FF8_7FF8_7FF9}


class CanaryError(AssertionError):
    """Something wrote outside its buffer."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A tensor inside one allocation of canaries; `check` raises CanaryError where any canary is no longer there."""

    tensor: torch.Tensor
    raw: torch.Tensor
    canaries: torch.Tensor

    def check(self) -> None:
        """Raise CanaryError naming the first byte that was overwritten, counted from the tensor's first byte."""
        seen = self.raw.clone()
        if self.tensor.numel():
            _inside(seen, self.tensor).copy_(_inside(self.canaries, self.tensor))
        broken = (seen != self.canaries).nonzero().flatten()
        if broken.numel():
            size = self.tensor.element_size()
            first = int(broken[0]) - self.tensor.storage_offset() * size
            raise CanaryError(
                f"{broken.numel()} canary bytes overwritten round a {self.tensor.dtype} buffer of shape"
                f" {tuple(self.tensor.shape)}, strides {self.tensor.stride()}: the first at byte {first},"
                f" element {first // size} from its start"
            )


def guarded(
    shape: Sequence[int],
    dtype: torch.dtype,
    fill: float = float("nan"),
    *,
    strides: Sequence[int] | None = None,
) -> Guarded:
    """Return a buffer of `fill` between two canary pages.

    strides: in elements, row-major where None; gaps between elements are canaries too. An integer type takes POISON
    above its least value for a NaN.
    """
    steps = tuple(strides) if strides is not None else _row_major(shape)
    empty = 0 in shape
    span = 0 if empty else 1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    size = torch.empty(0, dtype=dtype).element_size()
    body = -(-span * size // 16) * 16
    canaries = _canaries(2 * PAGE_BYTES + body, size, floating=dtype.is_floating_point)
    raw = canaries.clone()
    tensor = torch.as_strided(raw.view(dtype), tuple(shape), steps, PAGE_BYTES // size)
    tensor.fill_(_filling(dtype, fill))
    return Guarded(tensor, raw, canaries)


def guard(values: torch.Tensor, *, strides: Sequence[int] | None = None) -> Guarded:
    """Return a guarded copy of `values`."""
    made = guarded(values.shape, values.dtype, 0, strides=strides)
    made.tensor.copy_(values)
    return made


@contextmanager
def allocations_guarded() -> Iterator[list[Guarded]]:
    """Guard what `torch.empty`, `zeros`, `full`, their `_like` and `new_` forms give meanwhile; check all at the end.

    What would be uninitialised is filled with NaN or poison.
    """
    made: list[Guarded] = []
    busy: list[bool] = []
    wanted = [(torch, name) for name in ("empty", "zeros", "full", "empty_like", "zeros_like", "full_like")]
    wanted += [(torch.Tensor, name) for name in ("new_empty", "new_zeros", "new_full")]
    patches = [patch.object(owner, name, _guarding(getattr(owner, name), made, busy)) for owner, name in wanted]
    for one in patches:
        one.start()
    try:
        yield made
    finally:
        for one in patches:
            one.stop()
    for one in made:
        one.check()


def _guarding(
    allocate: Callable[..., torch.Tensor], made: list[Guarded], busy: list[bool]
) -> Callable[..., torch.Tensor]:
    """busy: not empty while this module allocates for itself."""

    @wraps(allocate)
    def allocate_guarded(*args: Any, **kwargs: Any) -> torch.Tensor:
        plain = allocate(*args, **kwargs)
        # the interpreter points tensors without elements at memory of the caller's: those are not allocations
        if busy or not plain.numel() or plain.device.type != "cpu" or type(plain) is not torch.Tensor:
            return plain
        busy.append(True)
        try:
            with torch.no_grad():
                one = guarded(plain.shape, plain.dtype, strides=plain.stride())
                if "empty" not in allocate.__name__:
                    one.tensor.copy_(plain)
        finally:
            busy.clear()
        made.append(one)
        return one.tensor

    return allocate_guarded


def _inside(buffer: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.as_strided(buffer.view(like.dtype), like.shape, like.stride(), like.storage_offset())


def _row_major(shape: Sequence[int]) -> tuple[int, ...]:
    steps = [1]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * max(1, size))
    return tuple(reversed(steps))[: len(shape)]


def _canaries(count: int, size: int, *, floating: bool) -> torch.Tensor:
    """Return canary bytes: NaN of a payload nobody computes for floats, else no byte like its neighbour."""
    if floating and size in QUIET_NAN:
        word = QUIET_NAN[size].to_bytes(size, "little")
        return torch.tensor(list(word), dtype=torch.uint8).repeat(count // size)
    places = torch.arange(count, dtype=torch.int64)
    return ((places * 167 + 89) % 251).to(torch.uint8)


def _filling(dtype: torch.dtype, fill: float) -> float:
    if fill == fill or dtype.is_floating_point:  # noqa: PLR0124  (false for NaN only)
        return fill
    return True if dtype == torch.bool else torch.iinfo(dtype).min + POISON
