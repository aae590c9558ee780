"""Result files in long form: one line a figure, with its 95% interval and where it was made."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cascade.record import Doubles
from benchmarks.overhead import host
from headrace.router.training.bootstrap import measured, share_below_zero
from headrace.router.training.metrics import Interval

PLACE: Final = ("set", "setup", "row", "figure")
HEAD: Final = (*PLACE, "value", "low95", "high95", "questions")


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one strategy. interval: value and 95% interval; both ends are the value where nothing was drawn."""

    place: tuple[str, str, str, str]
    interval: Interval
    questions: int

    @classmethod
    def drawn(cls, place: tuple[str, str, str, str], means: Doubles, questions: int) -> "Line":
        """Return the line of a statistic over the draws, the set as it is first."""
        return cls(place, measured(means), questions)

    @classmethod
    def plain(cls, place: tuple[str, str, str, str], value: float, questions: int) -> "Line":
        """Return the line of a figure that has no draws."""
        return cls(place, Interval(value, value, value), questions)

    def cells(self) -> list[str]:
        """Return the CSV cells."""
        one = self.interval
        return [
            *self.place,
            *(f"{round(value, 6) + 0.0:.5g}" for value in (one.value, one.low, one.high)),
            str(self.questions),
        ]


def below_zero(place: tuple[str, str, str], means: Doubles, questions: int) -> Line:
    """Return the share of draws, in percent, in which a difference is negative."""
    return Line.plain((*place, "draws_below_random_percent"), 100 * share_below_zero(means), questions)


def write(path: Path, lines: Iterable[Line], packages: tuple[str, ...]) -> None:
    """Write a result file, every line with the date, commit, device and versions."""
    stamp = {
        "date": host.now(),
        "commit": host.commit(),
        "device": host.device(),
        "versions": host.versions(*packages),
    }
    with path.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, *HEAD])
        out.writerows([*stamp.values(), *line.cells()] for line in lines)


def read(path: Path) -> dict[tuple[str, str, str, str], Interval]:
    """Return every figure of a result file by its place."""
    with path.open(newline="") as lines:
        rows: Iterable[Mapping[str, str]] = list(csv.DictReader(lines))
    return {
        (row["set"], row["setup"], row["row"], row["figure"]): Interval(
            *(float(row[name]) for name in ("value", "low95", "high95"))
        )
        for row in rows
    }
