"""Hold facts against `budgets.json`, whose limits were set by hand from what the hardware allows, never recorded.

registers, shared memory: what one thread or block may hold at all. spill_bytes: registers must not go to memory.
async_matrix, matrix: a prefill tile that issues none of its architecture's matrix instructions runs on the wrong unit.
wide_share: of weight and KV bytes, in pieces of 128 bits. issued_over_compulsory: bytes read against bytes needed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from headrace.kernels.inspect.bytes_moved import Moved
from headrace.kernels.inspect.facts import Facts


@dataclass(frozen=True, slots=True)
class Budgets:
    """The limits of `budgets.json`: by architecture, by role and architecture, or by op."""

    registers_max: Mapping[str, int]
    spill_bytes_max: Mapping[str, int]
    shared_bytes_max: Mapping[str, int]
    async_matrix_min: Mapping[str, Mapping[str, int]]
    matrix_min: Mapping[str, Mapping[str, int]]
    wide_share_min: Mapping[str, float]
    issued_over_compulsory_max: Mapping[str, float]


def load() -> Budgets:
    """Read the file beside this module."""
    return Budgets(**json.loads(files(__package__ or "").joinpath("budgets.json").read_text(encoding="utf-8")))


def breaches(facts: Iterable[Facts], moved: Iterable[Moved], budgets: Budgets) -> list[str]:
    """Return one line for every broken limit; kernels that are not ours are compared, not judged."""
    lines = [f"{one.name}: {line}" for one in facts if one.whose == "headrace" for line in _broken(one, budgets)]
    for one in moved:
        limit = budgets.issued_over_compulsory_max.get(one.op)
        if one.whose == "headrace" and limit is not None and one.ratio > limit:
            lines.append(f"{one.op} [{one.shape}]: {one.ratio:.2f} bytes issued for each that is needed, limit {limit}")
    return lines


def _broken(one: Facts, budgets: Budgets) -> Iterator[str]:
    if one.error:
        yield f"does not compile: {one.error}"
        return
    for word, have, limit in (
        ("registers a thread", one.registers, budgets.registers_max[one.arch]),
        ("bytes spilled", one.spill_bytes, budgets.spill_bytes_max[one.arch]),
        ("bytes of shared memory", one.shared_bytes, budgets.shared_bytes_max[one.arch]),
    ):
        if have > limit:
            yield f"{have} {word}, limit {limit}"
    for word, have, least in (
        ("asynchronous matrix instructions", one.counts.async_matrix, budgets.async_matrix_min),
        ("matrix instructions", one.counts.matrix, budgets.matrix_min),
    ):
        wanted = least.get(one.role, {}).get(one.arch, 0)
        if have < wanted:
            yield f"{have} {word}, at least {wanted}"
    share = one.wide_share
    if share is not None and share < budgets.wide_share_min[one.arch]:
        yield f"{share:.0%} of weight or KV bytes in 128-bit loads, at least {budgets.wide_share_min[one.arch]:.0%}"
