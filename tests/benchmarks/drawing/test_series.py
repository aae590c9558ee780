from pathlib import Path

import pytest

from benchmarks.drawing.series import (
    BREAK_EVEN_PERCENT,
    JUDGES,
    cascade_panel,
    experts_panel,
    live_panel,
    read_rows,
    reliability_panel,
    risk_panel,
    sparse_panel,
)
from headrace.router.training.metrics import Interval

ROUTED = "route first, then cascade"


def place(row: str, cost: float, right: float) -> dict[tuple[str, str, str, str], Interval]:
    return {
        ("sums", "a", row, "cost_percent_of_strong"): Interval(cost, cost, cost),
        ("sums", "a", row, "right_percent"): Interval(right, right - 1, right + 1),
    }


def test_a_cascade_panel_holds_lines_in_order_of_cost_and_leaves_out_what_is_not_there() -> None:
    table = place("always strong", 100, 95) | place("always weak", 2, 80)
    table |= place(f"{ROUTED}, price 0.1", 30, 90) | place(f"{ROUTED}, price 0.02", 60, 94)
    table |= {("sums", "a", f"{ROUTED}, within the margin", "folds_without_drafts"): Interval(5, 5, 5)}
    series = {one.label: one for one in cascade_panel(table, "sums", "a", "t").series}
    assert series["coin between weak and strong"].x == (2, 100)
    assert series["route first, every price"].x == (30, 60)
    assert series["always weak"].y == (Interval(80, 79, 81),)
    assert "route first,\nwithin the margin" not in series
    assert series["length router"].x == ()


def test_an_experts_panel_runs_over_k() -> None:
    table = {}
    for top_k, gain in ((1, 0.0), (3, 2.0)):
        row = f"K = {top_k}, the same for every question"
        table["sums", "p", row, "cost_times_best_single"] = Interval(top_k, top_k, top_k)
        table["sums", "p", row, "minus_best_single_points"] = Interval(gain, gain - 1, gain + 1)
    first = experts_panel(table, "sums", "p", "t").series[0]
    assert first.x == (1, 3)
    assert [one.value for one in first.y] == [0.0, 2.0]


def test_the_live_panel_draws_the_coin_between_its_ends(tmp_path: Path) -> None:
    head = "row,mode,load,figure,p50,low95,high95\n"
    rows = [("always small", 7, 30), ("always large", 70, 73), ("cascade", 60, 72)]
    lines = [
        f"{row},record,all,{figure},{value},{value - 1},{value + 1}\n"
        for row, cost, right in rows
        for figure, value in (("cost_microusd", cost), ("accuracy_percent", right))
    ]
    (tmp_path / "live.csv").write_text(head + "".join(lines))
    panel = live_panel(read_rows(tmp_path / "live.csv"), "all", "cost_microusd", "t")
    assert panel.series[0].x == (7, 70)
    assert "micro-USD" in panel.x
    assert [one.label for one in panel.series[1:]] == ["always small", "always large", "cascade"]
    assert panel.series[-1].y[0] == Interval(pytest.approx(72), 71, 73)


def test_the_judges_panels_follow_shares_and_bins() -> None:
    row = next(iter(JUDGES))
    places = {
        "risk_percent_of_best_50%": 1.0,
        "risk_percent_of_best_100%": 4.0,
        "promised_percent_bin_1": 20.0,
        "right_percent_bin_1": 10.0,
    }
    table = {("live", "small", row, figure): Interval(value, value, value) for figure, value in places.items()}
    risk = risk_panel(table, "live", "small", "t").series[0]
    assert (risk.x, [one.value for one in risk.y]) == ((50.0, 100.0), [1.0, 4.0])
    promised, found = reliability_panel(table, "live", "small", "t").series[:2]
    assert promised.x == (0.0, 100.0)
    assert (found.x, found.y[0].value) == ((20.0,), 10.0)


def test_a_sparse_panel_runs_over_what_was_kept_and_shows_the_break_even() -> None:
    table = {}
    for budget, kept, gap in (("16", 40.0, 0.1), ("4", 10.0, 0.5)):
        table["m", "bigbird", budget, "kept_percent"] = Interval(kept, kept, kept)
        table["m", "bigbird", budget, "loss"] = Interval(gap, gap, gap)
    series = {one.label: one for one in sparse_panel(table, "m", "loss", "t").series}
    assert series["bigbird"].x == (10.0, 40.0)
    assert [one.value for one in series["bigbird"].y] == [0.5, 0.1]
    assert series["longformer"].x == ()
    assert series["prefill breaks even"].x == (BREAK_EVEN_PERCENT, BREAK_EVEN_PERCENT)
