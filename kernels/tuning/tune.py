"""`python -m headrace.kernels.tuning.tune`: time candidates on this machine's GPU and write its tables.

For each row of an op's table that the timed cases use, climb from the packaged values: change one of them at a time,
keep what is faster and computes the same. The tables go to `<folder>/<arch>/<op>.json`, or, with `--device-named`,
under the device's own name; `HEADRACE_KERNELS_TUNED=<folder>` makes every process read them first.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

import torch

from headrace.kernels import tuned
from headrace.kernels.inspect import timed
from headrace.kernels.inspect.cases import Case, Where
from headrace.kernels.tuning.timing import NoDevice, inputs_needed, require_device, time_us

Builder = Callable[[Where], Case]
Timed = Callable[[tuned.Row], float]
ROUNDS: Final = 4
WORTH: Final = 0.98
_ROUNDINGS: Final = 4.0
WARPS: Final = (1, 2, 4, 8)
LEAST_BLOCK: Final = 16
MOST_STAGES: Final = 6


def neighbours(row: tuned.Row) -> Iterator[dict[str, int]]:
    """Yield rows that differ from `row` in one value: a block half or double, other warps, a stage more or less."""
    for word, value in row.items():
        if word == "num_warps":
            others = [count for count in WARPS if count != value]
        elif word == "num_stages":
            others = [count for count in (value - 1, value + 1) if 1 <= count <= MOST_STAGES]
        elif word.startswith("block"):
            others = [value * 2, *([value // 2] if value // 2 >= LEAST_BLOCK else [])]
        else:
            others = []
        for other in others:
            yield {**row, word: other}


def climb(row: tuned.Row, time_of: Timed, rounds: int = ROUNDS) -> tuple[dict[str, int], float]:
    """Return the best row found and its time; a candidate must be 2% faster to be taken, infinity is no candidate."""
    best, least = dict(row), time_of(row)
    for _ in range(rounds):
        timed = [(time_of(each), each) for each in neighbours(best)]
        fastest, chosen = min(timed, key=lambda one: one[0], default=(least, best))
        if not fastest < WORTH * least:
            break
        best, least = chosen, fastest
    return best, least


@dataclass(frozen=True, slots=True)
class Prepared:
    """The inputs of one case, which take turns, and what the packaged row makes of the first."""

    cases: Sequence[Case]
    wanted: Sequence[torch.Tensor]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how candidates are timed. timer: calls that take turns -> microseconds a call."""

    where: Where
    timer: Callable[[Sequence[Callable[[], object]]], float]
    cache_bytes: int

    def prepare(self, builder: Builder) -> Prepared:
        """Build as many inputs as leave the cache before they come again."""
        first = builder(self.where)
        count = inputs_needed(first.compulsory_bytes, self.cache_bytes)
        others = [builder(replace(self.where, seed=self.where.seed + place)) for place in range(1, count)]
        return Prepared((first, *others), tensors(first.run()))

    def time(self, ready: Prepared) -> float:
        """Return the microseconds of a call, infinity where the device refuses the row or the result is another."""
        from triton.errors import TritonError  # noqa: PLC0415  (nothing is timed where triton is not)

        try:
            made = tensors(ready.cases[0].run())
            if not all(
                is_near(got, want, ready.cases[0].summands) for got, want in zip(made, ready.wanted, strict=True)
            ):
                return math.inf
            return self.timer([case.run for case in ready.cases])
        except (RuntimeError, ValueError, TritonError):
            return math.inf


def tune(op: str, builders: Sequence[Builder], arch_name: str, bench: Bench) -> list[dict[str, int]]:
    """Return the table of `op`, each row that a builder's case uses climbed; the others stay as they are."""
    rows = [dict(row) for row in tuned.table(arch_name)[op]]
    used: dict[int, list[Builder]] = {}
    for builder in builders:
        for place in rows_used(op, builder, rows, bench.where):
            used.setdefault(place, []).append(builder)
    for place, several in used.items():
        bounds = {word: value for word, value in rows[place].items() if word.startswith(tuned.BOUND)}
        free = {word: value for word, value in rows[place].items() if word not in bounds}
        ready = [bench.prepare(builder) for builder in several]

        def total(candidate: tuned.Row, ready: Sequence[Prepared] = ready) -> float:
            with forced(op, candidate):
                return sum(bench.time(each) for each in ready)

        rows[place] = bounds | climb(free, total)[0]
    return rows


def tensors(made: object) -> tuple[torch.Tensor, ...]:
    """Return the tensors among what an op returned."""
    return tuple(each for each in (made if isinstance(made, tuple) else (made,)) if isinstance(each, torch.Tensor))


def is_near(got: torch.Tensor, want: torch.Tensor, summands: int) -> bool:
    """Tell whether two ways to add the same `summands` products agree, or two integer results are the same."""
    if not got.is_floating_point():
        return bool(torch.equal(got, want))
    scale = float(torch.where(want.isfinite(), want, 0).abs().max()) if want.numel() else 0.0
    limit = _ROUNDINGS * torch.finfo(got.dtype).eps * math.sqrt(max(1, summands)) * scale
    return bool(torch.allclose(got.double(), want.double(), rtol=0, atol=limit, equal_nan=True))


def rows_used(op: str, builder: Builder, rows: Sequence[tuned.Row], where: Where) -> set[int]:
    """Return which rows of the op's table a case looks up, by running it once."""
    found: set[int] = set()
    choose = tuned.choose

    def noting(name: str, arch_name: str, **sizes: int) -> dict[str, int]:
        if name == op:
            found.add(next(place for place, row in enumerate(rows) if tuned.applies(row, sizes)))
        return choose(name, arch_name, **sizes)

    with patch.object(tuned, "choose", noting):
        builder(where).run()
    return found


@contextmanager
def forced(op: str, row: tuned.Row) -> Iterator[None]:
    """Make every look-up of `op` give this row meanwhile."""
    choose = tuned.choose

    def fixed(name: str, arch_name: str, **sizes: int) -> dict[str, int]:
        return dict(row) if name == op else choose(name, arch_name, **sizes)

    with patch.object(tuned, "choose", fixed):
        yield


def write(folder: Path, name: str, op: str, rows: Sequence[Mapping[str, int]]) -> Path:
    """Write one table, whole or not at all, and return where."""
    path = folder / name / f"{op}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as fresh:
        fresh.write(f"[\n{lines}\n]\n")
    Path(fresh.name).replace(path)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune what is asked for; return 2, after one line, where there is no CUDA device."""
    given = _parser().parse_args(arguments)
    try:
        device = require_device()
    except NoDevice as why:
        sys.stderr.write(f"{why}\n")
        return 2
    name = tuned.device_name(device) if given.device_named else tuned.architecture(device)
    cache_bytes = int(torch.cuda.get_device_properties(device).L2_cache_size)
    bench = Bench(Where(device="cuda", dtype=torch.bfloat16), time_us, cache_bytes)
    builders = timed.builders()
    for op in given.op or sorted(builders):
        if op not in builders:
            sys.stderr.write(f"--op {op}: no timed case; write one of {', '.join(sorted(builders))}\n")
            return 2
        for table in timed.TABLES[op]:
            path = write(Path(given.folder), name, table, tune(table, builders[op], tuned.arch(device), bench))
            sys.stdout.write(f"{path}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m headrace.kernels.tuning.tune", description=__doc__)
    parser.add_argument("--op", action="append", help="only this op, as in moe_gemm; may be given again")
    own = os.environ.get(tuned.FOLDER_VARIABLE, "tuned")
    parser.add_argument("--folder", default=own, help=f"where the tables go (here {own})")
    parser.add_argument("--device-named", action="store_true", help="name the tables for this device, not its kind")
    return parser


if __name__ == "__main__":
    sys.exit(main())
