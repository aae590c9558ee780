"""One kernel as it would be launched: everything that compiling it ahead of time needs, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Variant:
    """One kernel, one shape class, one row of the tuned table.

    kernel: the `triton.jit` function. types: argument -> Triton type (`*bf16`, `i32`, `fp32`), in the order of the
    kernel's parameters, constexprs left out. constants: constexpr -> value. aligned: the arguments that are divisible
    by 16 in service (pointers, most strides), without which the compiler makes narrower loads than the launch would.
    role: `prefill`, `decode` or `index`, which says what the budgets ask of it. shape: what it stands for, in words.
    weights: the arguments whose bytes count as weights or KV, for the share of 128-bit loads.
    """

    op: str
    kernel: Any
    role: str
    shape: str
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    aligned: frozenset[str]
    num_warps: int = 4
    num_stages: int = 3
    weights: frozenset[str] = field(default=frozenset())
