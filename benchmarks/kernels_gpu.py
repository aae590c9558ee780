"""Time the kernels on a GPU beside torch, FlexAttention and vLLM's own, and against the floor.

`make bench-gpu` on any machine with a CUDA device: first every small case is computed by the kernel and by torch, and
one that differs ends the run; then every large one is timed in CUDA graphs over inputs that take turns. Without a
device it says so in one line and exits 2. The floor is that of an H100 SXM's data sheet, whatever the device.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import torch

from benchmarks.gpu import rows
from benchmarks.overhead import host
from headrace.kernels.inspect import cases, timed
from headrace.kernels.inspect.cases import Case, Where
from headrace.kernels.inspect.roofline import Experts, Heads
from headrace.kernels.tuning.timing import NoDevice, require_device, time_us

RESULT: Final = Path(__file__).parent / "results" / "kernels_gpu.csv"
_LAYER: Final = Experts("32 experts of 1024 x 512", hidden=1024, inner=512, experts=32, top_k=4)
_HEADS: Final = Heads(query=16, kv=4, dim=128)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, time, write; return 2 without a CUDA device and 1 where a kernel is wrong."""
    given = _parser().parse_args(arguments)
    try:
        device = require_device()
    except NoDevice as why:
        print(why, file=sys.stderr)
        return 2
    where = Where(device="cuda", dtype=torch.bfloat16)
    wrong = [build.func.__name__ for build in small() if not rows.is_correct(build, where)]
    if wrong:
        print(f"kernels that differ from torch on {torch.cuda.get_device_name(device)}: {', '.join(wrong)}")
        return 1
    about = {
        "date": host.now(),
        "commit": host.commit(),
        "device": torch.cuda.get_device_name(device),
        "versions": host.versions("torch", "triton", *given.package),
    }
    cache_bytes = int(torch.cuda.get_device_properties(device).L2_cache_size)
    machine = rows.Machine(where, time_us, cache_bytes, about)
    found = []
    for op, builders in timed.builders().items():
        for builder in builders if not given.op or op in given.op else ():
            for row in rows.rows_of(builder, machine):
                print(
                    f"{row['op']}  {row['shape']}  {row['who']}: {row['us'] or row['note']} us, floor {row['floor_us']}"
                )
                found.append(row)
            torch.cuda.empty_cache()
    rows.write(found, given.csv)
    return 0


def small() -> list[partial[Case]]:
    """Return a case of every op that torch's path can compute in a moment."""
    kinds: tuple[cases.Weights, ...] = ("bf16", "int8", "int4")
    return [
        *(partial(cases.gate, tokens, _LAYER) for tokens in (1, 33)),
        *(partial(cases.align, tokens, _LAYER) for tokens in (1, 33)),
        *(partial(cases.gate_and_up, tokens, _LAYER, kind) for tokens in (1, 33, 129) for kind in kinds),
        *(partial(cases.experts, tokens, _LAYER, kind) for tokens in (1, 33, 129) for kind in kinds),
        *(partial(cases.prefill, 300, before, kept, _HEADS) for before in (0, 700) for kept in (0.3, 1.0)),
        *(partial(cases.decode, 4096, batch, kept, _HEADS) for batch in (1, 3) for kept in (7, 1000)),
        *(partial(cases.select, 300, before, 0.3, _HEADS) for before in (0, 700)),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-gpu", description=__doc__)
    parser.add_argument("--op", action="append", help="time only this op; may be given again")
    parser.add_argument("--csv", type=Path, default=RESULT, help="where the rows go")
    parser.add_argument("--package", action="append", default=[], help="also note this package's version, as in vllm")
    return parser


if __name__ == "__main__":
    sys.exit(main())
