from pathlib import Path

import pytest

from benchmarks import cascade_live
from benchmarks.cascade.ttft import Paired
from benchmarks.cascade_live import (
    BEST_RULE,
    CASCADE,
    RANDOM,
    SMALL,
    Line,
    live_lines,
    measured_before,
    plain,
    slice_of,
    tabulate,
)
from headrace.router.training.compose import Result
from headrace.router.training.table import Entry, read_table


def results() -> dict[str, list[Result]]:
    def made(*, rights: int, cost: float, model: str) -> list[Result]:
        return [Result(number < rights, cost, 1.0, model) for number in range(10)]

    return {
        "always small": made(rights=2, cost=1.0, model=SMALL),
        "always large": made(rights=10, cost=11.0, model="large"),
        BEST_RULE: made(rights=6, cost=6.0, model=SMALL),
        CASCADE: made(rights=8, cost=6.0, model=SMALL),
    }


def entries() -> list[Entry]:
    return [Entry(str(number), "fact", "?", as_json=False, origin="", license="", answers={}) for number in range(10)]


def lines() -> dict[tuple[str, str, str], Line]:
    return {(line.row, line.load, line.figure): line for line in tabulate(entries(), results())}


def test_the_random_mix_costs_what_the_cascade_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade_live, "RESAMPLES", 50)
    table = lines()
    assert table[RANDOM, "all", "accuracy_percent"].value == 60.0
    assert table[CASCADE, "all", "minus_random_points"].value == 20.0
    assert table[CASCADE, "all", "minus_best_rule_points"].value == 20.0
    assert table[CASCADE, "easy", "accuracy_percent"].value == 80.0


def test_a_line_holds_its_interval() -> None:
    cells = Line("r", "m", "l", "f", 5.0, [float(one) for one in range(101)]).cells()
    assert cells == ["r", "m", "l", "f", "20", "5", "80", "101", "2", "98"]


def test_only_committed_streams_of_the_small_model_count_live() -> None:
    pairs = [Paired(0.1, 0.12, SMALL, 1), Paired(0.1, 0.5, "large", 2), Paired(0.2, 0.24, SMALL, 1)]
    table = {line.figure: line.value for line in live_lines(pairs)}
    assert round(table["ttft_ratio"], 3) == 1.2
    assert round(table["share_of_easy"], 3) == 0.667
    assert live_lines(pairs[1:2]) == []


def test_kinds_are_reported_under_their_slice() -> None:
    assert [slice_of(kind) for kind in ("fact", "yes_no", "gsm8k_many", "humaneval")] == [
        "easy",
        "easy",
        "gsm8k_many",
        "humaneval",
    ]


def test_the_record_is_large_enough_and_apart_from_the_calibration() -> None:
    record = plain(read_table(split="test"))
    assert len(record) >= 300
    assert not any(one.as_json for one in record)
    assert not {one.text for one in record} & {one.text for one in read_table(split="calibration")}


def test_live_rows_of_before_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "result.csv"
    assert measured_before(path) == []
    path.write_text("date,mode,figure\n1,record,a\n2,live,b\n")
    assert measured_before(path) == [["2", "live", "b"]]
