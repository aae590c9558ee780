"""Put facts, bytes and floors into one table, one CSV and one JSON document."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final, TextIO

from headrace.kernels.inspect.bytes_moved import Moved
from headrace.kernels.inspect.facts import Facts
from headrace.kernels.inspect.roofline import Work

LABEL: Final = "predicted, not timed"
COUNTED: Final = "counted in the interpreter"
COLUMNS: Final = (
    "kind", "op", "whose", "arch", "role", "shape", "warps", "stages", "registers", "spill_bytes", "shared_bytes",
    "blocks_per_sm", "occupancy", "async_matrix", "matrix", "wide_share", "shuffles", "barriers", "beside_vllm",
    "error", "bytes_needed", "bytes_issued", "floor_us", "realistic_us", "basis",
)  # fmt: skip
PRINTED: Final = (
    "op", "whose", "arch", "role", "shape", "warps", "registers", "spill_bytes", "shared_bytes", "occupancy",
    "async_matrix", "matrix", "wide_share", "shuffles", "barriers",
)  # fmt: skip


def rows(facts: Iterable[Facts]) -> list[dict[str, Any]]:
    """Return one row a kernel, ours beside what they replace."""
    known = list(facts)
    theirs = [one for one in known if one.whose == "vllm" and not one.error]
    return [_row(one, beside(one, theirs)) for one in known]


def beside(ours: Facts, theirs: Sequence[Facts]) -> str:
    """Say where `ours` is better, equal or worse than the best of what it replaces.

    That is the kernels of the same op, role, architecture and kind of weights.
    """
    same = [one for one in theirs if _alike(one) == _alike(ours)]
    if ours.whose != "headrace" or ours.error or not same:
        return ""
    verdicts: dict[str, list[str]] = {"better": [], "equal": [], "worse": []}
    for word, have, best in (
        ("spill", -ours.spill_bytes, max(-one.spill_bytes for one in same)),
        ("wide loads", round(ours.wide_share or 0, 2), max(round(one.wide_share or 0, 2) for one in same)),
        ("matrix unit", _unit(ours), max(_unit(one) for one in same)),
        ("occupancy", ours.occupancy, max(one.occupancy for one in same)),
    ):
        verdicts["better" if have > best else "worse" if have < best else "equal"].append(word)
    return "; ".join(f"{verdict}: {', '.join(words)}" for verdict, words in verdicts.items() if words)


def table(facts: Iterable[Facts]) -> Iterator[str]:
    """Yield the lines of a table for a terminal."""
    known = list(facts)
    cells = [list(PRINTED)] + [[_shown(row[word]) for word in PRINTED] for row in rows(known)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(PRINTED))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    yield from (f"{one.name}: {one.error}" for one in known if one.error)


def further(moved: Iterable[Moved], works: Iterable[Work]) -> Iterator[str]:
    """Yield the lines on bytes and floors."""
    for one in moved:
        yield f"bytes  {one.op} [{one.shape}]: {one.compulsory:,} needed, {one.issued:,} issued, {one.ratio:.2f}"
    for work in works:
        yield (
            f"floor  {work.op} [{work.shape}]: {work.bytes_ / 1e6:.1f} MB, {work.floor_us:.1f} us on an H100,"
            f" {work.realistic_us:.1f} us at 3.0 TB/s and 0.6 of peak"
        )


def write_csv(facts: Iterable[Facts], moved: Iterable[Moved], works: Iterable[Work], out: TextIO) -> None:
    """Write everything: one line a kernel, one a counted call, one a floor; what a kind has not is empty."""
    writer = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"kind": "kernel", **row} for row in rows(facts))
    for one in moved:
        figures = {"bytes_needed": one.compulsory, "bytes_issued": one.issued}
        said = {"kind": "bytes", "op": one.op, "whose": one.whose, "shape": one.shape, "basis": COUNTED}
        writer.writerow(said | figures)
    for work in works:
        said = {"kind": "floor", "op": work.op, "arch": "H100 SXM", "shape": work.shape, "basis": LABEL}
        figures = {"bytes_needed": round(work.bytes_)}
        writer.writerow(
            said | figures | {"floor_us": round(work.floor_us, 2), "realistic_us": round(work.realistic_us, 2)}
        )


def document(facts: Iterable[Facts], moved: Iterable[Moved], works: Iterable[Work], broken: Sequence[str]) -> str:
    """Return everything as one JSON document."""
    return json.dumps(
        {
            "basis": LABEL,
            "kernels": rows(facts),
            "bytes": [asdict(one) | {"ratio": one.ratio} for one in moved],
            "floors": [asdict(one) | {"floor_us": one.floor_us, "realistic_us": one.realistic_us} for one in works],
            "breaches": list(broken),
        },
        indent=1,
    )


def _row(one: Facts, verdict: str) -> dict[str, Any]:
    share = one.wide_share
    return {
        "op": one.op,
        "whose": one.whose,
        "arch": one.arch,
        "role": one.role,
        "shape": one.shape,
        "tile": one.tile,
        "warps": one.num_warps,
        "stages": one.num_stages,
        "registers": one.registers,
        "spill_bytes": one.spill_bytes,
        "shared_bytes": one.shared_bytes,
        "blocks_per_sm": one.ctas_per_sm,
        "occupancy": round(one.occupancy, 3),
        "async_matrix": one.counts.async_matrix,
        "matrix": one.counts.matrix,
        "wide_share": "" if share is None else round(share, 3),
        "shuffles": one.counts.shuffles,
        "barriers": one.counts.barriers,
        "beside_vllm": verdict,
        "error": one.error,
        "basis": LABEL,
    }


def _alike(one: Facts) -> tuple[str, str, str, str]:
    kind = next((word for word in ("int4", "int8") if word in one.shape), "float")
    return one.op, one.role, one.arch, kind


def _unit(one: Facts) -> int:
    return 2 if one.counts.async_matrix else 1 if one.counts.matrix else 0


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
