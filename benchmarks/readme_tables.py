"""Writes the README's benchmark tables from benchmarks/results/*.csv, between the marks that name each table.

`python -m benchmarks.readme_tables` rewrites README.md; tests/docs keeps both in step. Result files are in long form:
date, commit, device and versions, then row, mode, load, figure, p20, p50, p80, windows and, where one was computed,
the 95% interval low95 and high95. A table shows medians and, in brackets, intervals.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results"
_MARKED: Final = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

Line = dict[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of one kind of load under a heading."""

    heading: str
    mode: str
    load: str
    figure: str


CHOSEN: Final[dict[str, Sequence[Column]]] = {
    "gateway_overhead": (
        Column("added p50 ms, 1 in flight", "plain", "c1", "added_p50_ms"),
        Column("added p99 ms, 1 in flight", "plain", "c1", "added_p99_ms"),
        Column("requests/s, 32 in flight", "plain", "c32", "requests_per_s"),
        Column("CPU µs a request", "plain", "c32", "cpu_us_per_request"),
        Column("CPU µs a chunk", "stream", "c32", "cpu_us_per_chunk"),
        Column("idle MB", "process", "at start", "idle_rss_mb"),
        Column("peak MB", "process", "after load", "peak_rss_mb"),
        Column("cold start s", "process", "at start", "cold_start_s"),
    ),
    "engine": tuple(
        Column(f"{heading}, {at_once[1:]} in flight", mode, at_once, "tokens_per_s")
        for at_once in ("c1", "c8", "c32")
        for heading, mode in (("int8", "int8"), ("bf16", "bf16"), ("int8 with logprobs", "int8, logprobs"))
    ),
    "cascade_live": (
        Column("right %, all", "record", "all", "accuracy_percent"),
        Column("right %, easy", "record", "easy", "accuracy_percent"),
        Column("cost µUSD", "record", "all", "cost_microusd"),
        Column("latency s, 32 in flight", "record", "all", "latency_s"),
        Column("energy J, estimate", "record", "all", "energy_j"),
        Column("kept small %", "record", "all", "small_share_percent"),
        Column("points over random", "record", "all", "minus_random_points"),
        Column("first token ms, live", "live", "c1", "ttft_ms"),
        Column("times the small model's", "live", "c1", "ttft_ratio"),
    ),
}


def table(name: str, lines: Sequence[Line]) -> str:
    """Return one benchmark's table and, below it, what it was run on."""
    columns = CHOSEN.get(name) or _every_column(lines)
    rows = list(dict.fromkeys(line["row"] for line in lines))
    cells = {(line["row"], line["mode"], line["load"], line["figure"]): _cell(line) for line in lines}
    head = ["", *(column.heading for column in columns)]
    out = [_row(head), _row(["---", *("---:" for _ in columns)])]
    for row in rows:
        shown = [cells.get((row, column.mode, column.load, column.figure), "") for column in columns]
        if any(shown):
            out.append(_row([row, *shown]))
    return "\n".join([*out, "", _provenance(name, lines[0])]) + "\n"


def fill(text: str, results: Path = RESULTS) -> str:
    """Return a page with every marked table written anew."""

    def write(match: re.Match[str]) -> str:
        file = results / f"{match[2]}.csv"
        body = table(match[2], read(file)) if file.exists() else f"Not measured yet: `make bench NAME={match[2]}`.\n"
        return f"{match[1]}{body}{match[4]}"

    return _MARKED.sub(write, text)


def read(file: Path) -> list[Line]:
    """Read a result file."""
    with file.open(newline="") as source:
        return list(csv.DictReader(source))


def _every_column(lines: Sequence[Line]) -> Sequence[Column]:
    seen = dict.fromkeys((line["mode"], line["load"], line["figure"]) for line in lines)
    return [Column(" ".join(filter(None, (figure, mode, load))), mode, load, figure) for mode, load, figure in seen]


def _cell(line: Line) -> str:
    median, low, high = line["p50"], line.get("low95"), line.get("high95")
    interval = f" [{_number(float(low))}, {_number(float(high))}]" if low and high and low != high else ""
    return _number(float(median)) + interval


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004  (three digits say enough)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _provenance(name: str, line: Line) -> str:
    place = f"{line['device']}, {line['date']}, commit {line['commit']}; {line['versions']}"
    return f"<sub>`make bench NAME={name}` on {place}.</sub>"


def main() -> None:
    """Rewrite the README."""
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text()))


if __name__ == "__main__":
    main()
