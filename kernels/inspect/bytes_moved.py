"""Bytes an op asks memory for, counted lane by lane in Triton's interpreter, against the bytes it cannot do without.

`measure_apart` runs this module as a process of its own with TRITON_INTERPRET=1, which prints one JSON line a case.
What a cache would catch is counted every time it is asked for: the ratio is an upper bound of the traffic.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias
from unittest.mock import patch

from headrace.kernels import dispatch
from headrace.kernels.inspect.facts import Whose

Handle: TypeAlias = Any  # a value of the interpreter, which has no types


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of one call: `compulsory` by the definition of the op, `issued` by its kernels."""

    op: str
    shape: str
    compulsory: int
    issued: int
    whose: Whose = "headrace"

    @property
    def ratio(self) -> float:
        """Return how many bytes are asked for, for each that is needed."""
        return self.issued / self.compulsory


class Tally:
    """Counts what kernels ask for between entering and leaving `counting`."""

    def __init__(self) -> None:
        self.loaded = 0
        self.stored = 0

    @property
    def issued(self) -> int:
        """Return loads and stores together."""
        return self.loaded + self.stored


@contextmanager
def counting() -> Iterator[Tally]:
    """Count every lane of every load and store whose mask is true, by wrapping the interpreter's."""
    from triton.runtime.interpreter import InterpreterBuilder  # noqa: PLC0415  (only where kernels are interpreted)

    tally = Tally()
    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def counted_load(builder: Handle, pointers: Handle, mask: Handle, *others: Handle) -> Handle:
        tally.loaded += _asked(pointers, mask)
        return load(builder, pointers, mask, *others)

    def counted_store(builder: Handle, pointers: Handle, value: Handle, mask: Handle, *others: Handle) -> Handle:
        tally.stored += _asked(pointers, mask)
        return store(builder, pointers, value, mask, *others)

    with (
        patch.object(InterpreterBuilder, "create_masked_load", counted_load),
        patch.object(InterpreterBuilder, "create_masked_store", counted_store),
    ):
        yield tally


def measure(ops: Collection[str] = ()) -> Iterator[Moved]:
    """Run the small cases of these ops, all where none is named, and yield what they moved.

    Raises RuntimeError where kernels are not interpreted, because torch's path moves nothing that is counted.
    """
    if not dispatch.is_interpreted() or dispatch.mode() != "triton":
        raise RuntimeError("bytes are counted in the interpreter: set TRITON_INTERPRET=1 and HEADRACE_KERNELS=triton")
    from headrace.kernels.inspect import cases  # noqa: PLC0415  (it imports the ops, which import triton)

    for op, build in cases.counted():
        if not ops or op in ops:
            case = build()
            with counting() as tally:
                case.run()
            yield Moved(case.op, case.shape, case.compulsory_bytes, tally.issued)


def measure_apart(ops: Collection[str] = ()) -> list[Moved]:
    """Do the same in a process of its own, where kernels are interpreted."""
    done = subprocess.run(  # noqa: S603  (this interpreter, our module)
        [sys.executable, "-P", "-m", "headrace.kernels.inspect.bytes_moved", *ops],
        env=os.environ | {"TRITON_INTERPRET": "1", "HEADRACE_KERNELS": "triton", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"counting bytes ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return [Moved(**json.loads(line)) for line in done.stdout.splitlines()]


def _asked(pointers: Handle, mask: Handle) -> int:
    import numpy as np  # noqa: PLC0415  (only where kernels are interpreted)

    bits = int(pointers.get_element_ty().primitive_bitwidth)
    return int(np.count_nonzero(np.broadcast_to(mask.data, pointers.data.shape))) * max(1, bits // 8)


if __name__ == "__main__":
    for found in measure(sys.argv[1:]):
        print(json.dumps(asdict(found)), flush=True)  # noqa: T201  (the answer of this process)
