"""From windows to the table: percentiles within a window, p20/p50/p80 between windows, long-form CSV."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Window:
    """One valid stretch of load on one row. figures: name with unit -> value."""

    row: str
    mode: str
    load: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    row: str
    mode: str
    load: str
    figure: str
    p20: float
    p50: float
    p80: float
    windows: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0..1) of the values lie, linear between two; ValueError if none."""
    if not values:
        raise ValueError("no values: every window was void")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summarise(windows: Iterable[Window]) -> list[Line]:
    """Gather equal cells over all windows; the order of first appearance is kept."""
    cells: dict[tuple[str, str, str, str], list[float]] = {}
    for window in windows:
        for figure, value in window.figures.items():
            cells.setdefault((window.row, window.mode, window.load, figure), []).append(value)
    return [
        Line(*cell, percentile(values, 0.2), percentile(values, 0.5), percentile(values, 0.8), len(values))
        for cell, values in cells.items()
    ]


def write_csv(path: Path, lines: Iterable[Line], stamp: Mapping[str, str]) -> None:
    """Write the table; every line carries the stamp (date, commit, device, versions ...)."""
    with path.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, "row", "mode", "load", "figure", "p20", "p50", "p80", "windows"])
        for line in lines:
            spread = (f"{value:.3f}" for value in (line.p20, line.p50, line.p80))
            out.writerow([*stamp.values(), line.row, line.mode, line.load, line.figure, *spread, line.windows])


def print_table(lines: Iterable[Line]) -> None:
    """Print the medians with their spread."""
    for line in lines:
        place = f"{line.row:18} {line.mode:7} {line.load:8} {line.figure:24}"
        print(f"{place} {line.p50:10.4g}  [{line.p20:.4g} .. {line.p80:.4g}]  n={line.windows}")
