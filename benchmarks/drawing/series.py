"""What a picture shows, taken from result files: points with intervals, and lines through points. Draws nothing."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.router.training.metrics import Interval

Table = Mapping[tuple[str, str, str, str], Interval]

LIVE_ROWS: Final = {
    "always small": "always small",
    "always large": "always large",
    "rules only": "rules only",
    "best rule at the cascade's cost, in hindsight": "best rule",
    "cascade": "cascade",
    "oracle": "oracle",
}
SPENT: Final = {
    "cost_microusd": "cost, micro-USD a question",
    "latency_s": "seconds a question, 32 in flight",
    "energy_j": "energy a question, joules (estimate)",
}
JUDGES: Final = {
    "share right of the domain (trivial)": ("the domain alone", "plain"),
    "exp(mean log-probability), not calibrated": ("raw log-probability", "constant"),
    "logistic, levels by domain (shipped)": ("shipped judge", "cascade"),
}

CHOSEN: Final = {
    "dense": "control",
    "window + sink": "length",
    "longformer": "question",
    "bigbird": "constant",
    "top-k of means": "cascade",
    "top-k of extremes": "plain",
    "top-p of means": "oracle",
    "decode, top-k of means": "frontier",
    "decode, top-k of extremes": "priced",
}
# A Triton kernel reaches 477 of the 620 TFLOP/s of FlashAttention-3 (pytorch/benchmark#2391, H100, D 128, 16k).
BREAK_EVEN_PERCENT: Final = 100 * 477 / 620


@dataclass(frozen=True, slots=True)
class Series:
    """One strategy: a point (with the 95% interval of y), or a line through several. role names how it is drawn."""

    label: str
    role: str
    x: tuple[float, ...]
    y: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One frame with its series. x: what its own x axis shows, empty for what the picture's show."""

    title: str
    series: tuple[Series, ...]
    x: str = ""


def cascade_panel(table: Table, source: str, setup: str, title: str) -> Panel:
    """Return the replayed cascade of one setup with every control; x: percent of strong's cost, y: percent right."""
    rows = {row for *place, row, figure in table if place == [source, setup] and figure == "right_percent"}

    def at(row: str) -> tuple[float, Interval]:
        return (
            table[source, setup, row, "cost_percent_of_strong"].value,
            table[source, setup, row, "right_percent"],
        )

    def line(label: str, role: str, chosen: Callable[[str], bool]) -> Series:
        places = sorted((at(row) for row in rows if chosen(row)), key=lambda one: one[0])
        return Series(label, role, tuple(x for x, _ in places), tuple(y for _, y in places))

    routed = "route first, then cascade"
    points = {
        "always weak": ("always weak", "control"),
        "always strong": ("always strong", "control"),
        "best constant model within 40% of strong's cost": ("best constant", "constant"),
        "oracle": ("oracle", "oracle"),
        "cascade without route first": ("cascade alone", "plain"),
        f"{routed}, within the margin": ("route first,\nwithin the margin", "cascade"),
        f"{routed}, within 40% of strong's cost": ("route first,\nwithin 40%", "cascade"),
    }
    series = [
        line("coin between weak and strong", "coin", lambda row: row in {"always weak", "always strong"}),
        line("length router", "length", lambda row: row.startswith("length router, at")),
        line("question router", "question", lambda row: row.startswith("question router, at")),
        line("route first, every price", "frontier", lambda row: row.startswith(f"{routed}, price")),
    ]
    for row, (label, role) in points.items():
        if row in rows:
            x, y = at(row)
            series.append(Series(label, role, (x,), (y,)))
    return Panel(title, tuple(series))


def experts_panel(table: Table, source: str, setup: str, title: str) -> Panel:
    """Return the gain of K experts over the best single one; x: times its cost, y: points with their interval."""
    found = []
    for label, words, role in (
        ("the same K for every question", "the same for every question", "plain"),
        ("K picked by predicted quality", "by predicted quality", "cascade"),
        ("K picked by quality less cost", "by predicted quality less 0.1 x cost", "priced"),
    ):
        rows = [f"K = {top_k}, {words}" for top_k in (1, 2, 3, 5)]
        known = [row for row in rows if (source, setup, row, "minus_best_single_points") in table]
        found.append(
            Series(
                label,
                role,
                tuple(table[source, setup, row, "cost_times_best_single"].value for row in known),
                tuple(table[source, setup, row, "minus_best_single_points"] for row in known),
            )
        )
    return Panel(title, tuple(found))


def risk_panel(table: Table, source: str, model: str, title: str) -> Panel:
    """Return the risk of the kept answers against the share kept, by each recipe of the judge; both in percent."""
    return Panel(title, tuple(_curve(table, source, model, *one) for one in JUDGES.items()))


def reliability_panel(table: Table, source: str, model: str, title: str) -> Panel:
    """Return the share found right against the P(right) that was promised, by bins of as many answers; in percent."""
    ends = (Interval(0.0, 0.0, 0.0), Interval(100.0, 100.0, 100.0))
    found = [Series("as promised", "coin", (0.0, 100.0), ends)]
    for row, (label, role) in JUDGES.items():
        bins = [figure for *place, figure in table if place == [source, model, row] and figure.startswith("promised")]
        promised = [table[source, model, row, figure].value for figure in bins]
        right = [table[source, model, row, figure.replace("promised", "right")] for figure in bins]
        found.append(Series(label, role, tuple(promised), tuple(right)))
    return Panel(title, tuple(found))


def sparse_panel(table: Table, source: str, figure: str, title: str) -> Panel:
    """Return a figure of a model under sparse attention against the share of blocks kept, by each way to choose."""
    several = []
    for method, role in CHOSEN.items():
        budgets = [row for *place, row, name in table if place == [source, method] and name == figure]
        points = sorted((table[source, method, row, "kept_percent"].value, row) for row in budgets)
        y = tuple(table[source, method, row, figure] for _, row in points)
        several.append(Series(method, role, tuple(kept for kept, _ in points), y))
    levels = [each.value for one in several for each in one.y]
    if levels:
        ends = tuple(Interval(level, level, level) for level in (min(levels), max(levels)))
        several.append(Series("prefill breaks even", "exact", (BREAK_EVEN_PERCENT, BREAK_EVEN_PERCENT), ends))
    return Panel(title, tuple(several))


def live_panel(rows: Sequence[Mapping[str, str]], load: str, figure: str, title: str) -> Panel:
    """Return the recorded cascade of the default tiers; x: a figure of SPENT, a mean a question, y: percent right."""
    figures = {
        (row["row"], row["figure"]): Interval(*(float(row[name]) for name in ("p50", "low95", "high95")))
        for row in rows
        if row["load"] == load and row["mode"] == "record"
    }
    roles = {"always small": "control", "always large": "control", "cascade": "cascade", "oracle": "oracle"}
    points = tuple(
        Series(
            label,
            roles.get(row, "constant" if row == "rules only" else "plain"),
            (figures[row, figure].value,),
            (figures[row, "accuracy_percent"],),
        )
        for row, label in LIVE_ROWS.items()
        if (row, figure) in figures
    )
    ends = [one for one in points if one.role == "control"]
    coin = Series(
        "coin between small and large",
        "coin",
        tuple(one.x[0] for one in ends),
        tuple(one.y[0] for one in ends),
    )
    return Panel(title, (coin, *points), SPENT[figure])


def _curve(table: Table, source: str, model: str, row: str, pen: tuple[str, str]) -> Series:
    start = "risk_percent_of_best_"
    found = [figure for *place, figure in table if place == [source, model, row] and figure.startswith(start)]
    shares = tuple(float(figure.removeprefix(start).rstrip("%")) for figure in found)
    return Series(*pen, shares, tuple(table[source, model, row, figure] for figure in found))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a result file as they are."""
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))
