import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead.figures import Line, Window, percentile, summarise, write_csv

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1)


@given(VALUES, st.floats(0, 1))
def test_a_percentile_lies_between_the_extremes(values: list[float], share: float) -> None:
    assert min(values) <= percentile(values, share) <= max(values)


def test_percentiles_are_linear_between_two_values() -> None:
    assert percentile([3.0, 1.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.99) == pytest.approx(4.96)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="void"):
        percentile([], 0.5)


def test_equal_cells_are_gathered_over_windows() -> None:
    windows = [Window("a", "plain", "c1", {"x": float(x)}) for x in (1, 2, 3)] + [
        Window("b", "plain", "c1", {"x": 9.0})
    ]

    lines = summarise(windows)

    assert [(line.row, line.p50, line.windows) for line in lines] == [("a", 2.0, 3), ("b", 9.0, 1)]


def test_every_csv_line_carries_the_stamp(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"

    write_csv(path, [Line("a", "plain", "c1", "x", 1.0, 2.0, 3.0, 4)], {"date": "today", "device": "two, cores"})

    with path.open() as source:
        (line,) = csv.DictReader(source)
    assert line["device"] == "two, cores"
    assert (line["p20"], line["p50"], line["p80"], line["windows"]) == ("1.000", "2.000", "3.000", "4")
