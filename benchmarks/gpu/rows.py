"""Measure cases and say it in rows: ours and each rival, against the floor of the bytes and products a case needs."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.gpu.rivals import Call, Rival, kernels, rivals
from headrace.kernels.inspect.cases import Case, Where
from headrace.kernels.inspect.roofline import Work
from headrace.kernels.tuning.timing import inputs_needed
from headrace.kernels.tuning.tune import is_near, tensors

COLUMNS: Final = (
    "date", "commit", "device", "versions", "op", "shape", "who", "us", "floor_us", "of_floor", "beside_ours", "note",
)  # fmt: skip
OURS: Final = "headrace"
TOO_LARGE_FOR_TORCH: Final = 1 << 30
Builder = Callable[[Where], Case]
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it is timed. about: the columns every row begins with. timer: calls that take turns -> us a call."""

    where: Where
    timer: Callable[[Sequence[Call]], float]
    cache_bytes: int
    about: Mapping[str, str]


def rows_of(builder: Builder, machine: Machine, others: Callable[[str], Sequence[Rival]] = rivals) -> Iterator[Row]:
    """Yield one row for ours and one a rival; who cannot run here has a note instead of a time."""
    first = builder(machine.where)
    count = inputs_needed(first.compulsory_bytes, machine.cache_bytes)
    every = [first, *(builder(replace(machine.where, seed=place)) for place in range(1, count))]
    with kernels("triton"):
        ours, note = _timed(lambda: [each.run for each in every], machine)
    yield _row(first, OURS, machine.about, us=ours, ours=ours, note=note)
    for rival in others(first.op):
        if rival.name == "torch" and first.compulsory_bytes > TOO_LARGE_FOR_TORCH:
            theirs, note = None, "left out: its scratch would not fit at this size"
        else:
            theirs, note = _timed(lambda rival=rival: [rival.prepare(each) for each in every], machine)
        yield _row(first, rival.name, machine.about, us=theirs, ours=ours, note=note)


def is_correct(builder: Builder, where: Where) -> bool:
    """Tell whether the kernel and torch's path agree on a case, within the rounding of their sums."""
    case = builder(where)
    with kernels("triton"):
        got = tensors(case.run())
    with kernels("torch"):
        want = tensors(case.run())
    return all(is_near(one, other, case.summands) for one, other in zip(got, want, strict=True))


def floor_us(case: Case) -> float:
    """Return the least time of a case on an H100."""
    return Work(case.op, case.shape, case.compulsory_bytes, case.flops).floor_us


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the result file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _timed(prepare: Callable[[], Sequence[Call]], machine: Machine) -> tuple[float | None, str]:
    from triton.errors import TritonError  # noqa: PLC0415  (nothing is timed where triton is not)

    try:
        return machine.timer(prepare()), ""
    except ImportError as why:
        return None, f"not here: {why}"
    except (RuntimeError, ValueError, TypeError, AttributeError, TritonError) as why:
        return None, f"{type(why).__name__}: {str(why).splitlines()[0] if str(why) else ''}"[:200]


def _row(case: Case, who: str, about: Mapping[str, str], *, us: float | None, ours: float | None, note: str) -> Row:
    floor = floor_us(case)
    return {
        **about,
        "op": case.op,
        "shape": case.shape,
        "who": who,
        "us": "" if us is None else f"{us:.2f}",
        "floor_us": f"{floor:.2f}",
        "of_floor": "" if us is None else f"{us / floor:.2f}",
        "beside_ours": "" if us is None or ours is None else f"{us / ours:.2f}",
        "note": note,
    }
