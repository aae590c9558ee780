import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from headrace.kernels import tuned
from headrace.kernels.inspect.cases import Case, Where
from headrace.kernels.tuning import tune
from headrace.kernels.tuning.tune import Bench, Prepared, climb, forced, is_near, neighbours, rows_used, write

ROWS = [{"max_t": 16, "block_m": 16, "num_warps": 4, "num_stages": 1}, {"block_m": 64, "num_warps": 8, "num_stages": 3}]
WHERE = Where(dtype=torch.float32)


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned, "table", lambda _: {"op": ROWS, "other": [{"block_m": 1}]})


def _case(tokens: int, where: Where, *, wrong_at: int = 0) -> Case:
    """An op that looks its tile up as a real one does, and is wrong for one block size."""
    x = where.normal(tokens)

    def run() -> torch.Tensor:
        block = tuned.choose("op", "sm_90", t=tokens)["block_m"]
        return x + 1 if block == wrong_at else x

    return Case("op", f"T={tokens}", run, 4 * tokens, {"x": x})


def test_a_neighbour_differs_in_one_value_and_stays_possible() -> None:
    found = list(neighbours({"block_m": 16, "num_warps": 4, "num_stages": 1, "programs": 132}))
    assert {"block_m": 32, "num_warps": 4, "num_stages": 1, "programs": 132} in found
    assert all(row["block_m"] >= 16 and row["num_stages"] >= 1 and row["programs"] == 132 for row in found)
    assert sorted(row["num_warps"] for row in found if row["num_warps"] != 4) == [1, 2, 8]
    assert len(found) == 1 + 3 + 1


def test_climbing_finds_a_better_row_several_steps_away() -> None:
    def time_of(row: tuned.Row) -> float:
        return abs(math.log2(row["block_m"]) - 7) + abs(row["num_warps"] - 8) + 1.0

    best, took = climb({"block_m": 16, "num_warps": 4, "num_stages": 3}, time_of, rounds=10)
    assert best == {"block_m": 128, "num_warps": 8, "num_stages": 3}
    assert took == 1.0


def test_a_gain_of_less_than_two_in_a_hundred_changes_nothing() -> None:
    row = {"block_m": 16, "num_warps": 4}
    assert climb(row, lambda each: 99.0 if each != row else 100.0) == (row, 100.0)


def test_only_rows_that_a_case_uses_are_tuned_and_bounds_stay() -> None:
    def timer(calls: Sequence[Callable[[], object]]) -> float:
        assert len(calls) > 1
        return 1.0 / tuned.choose("op", "sm_90", t=1)["block_m"]

    rows = tune.tune("op", [partial(_case, 4)], "sm_90", Bench(WHERE, timer, 1 << 20))
    assert rows[0]["max_t"] == 16
    assert rows[0]["block_m"] == 16 * 2**tune.ROUNDS
    assert rows[1] == ROWS[1]


def test_a_row_that_computes_something_else_or_fails_is_never_chosen() -> None:
    bench = Bench(WHERE, lambda _: 1.0, 1)
    ready = bench.prepare(partial(_case, 4, wrong_at=32))
    with forced("op", {"block_m": 16}):
        assert bench.time(ready) == 1.0
    with forced("op", {"block_m": 32}):
        assert bench.time(ready) == math.inf

    def refused() -> object:
        raise RuntimeError("out of resources")

    broken = Prepared([Case("op", "", refused, 1, {})], ())
    assert bench.time(broken) == math.inf


def test_a_forced_row_is_for_its_op_alone_and_ends() -> None:
    with forced("op", {"block_m": 77}):
        assert tuned.choose("op", "sm_90", t=4) == {"block_m": 77}
        assert tuned.choose("other", "sm_90", t=4) == {"block_m": 1}
    assert tuned.choose("op", "sm_90", t=4)["block_m"] == 16


@pytest.mark.parametrize(("tokens", "used"), [(4, {0}), (17, {1})])
def test_which_row_a_case_uses_is_seen_by_running_it(tokens: int, used: set[int]) -> None:
    assert rows_used("op", partial(_case, tokens), ROWS, WHERE) == used


def test_results_are_near_within_the_rounding_of_their_sums() -> None:
    want = torch.tensor([1.0, 8.0, float("nan")])
    assert is_near(want + 1e-6, want, 4)
    assert not is_near(want + 1e-4, want, 4)
    assert is_near(torch.tensor([1, 2]), torch.tensor([1, 2]), 1)
    assert not is_near(torch.tensor([1, 2]), torch.tensor([1, 3]), 1)


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    path = write(tmp_path, "sm_90", "op", ROWS)
    assert path == tmp_path / "sm_90" / "op.json"
    assert json.loads(path.read_text()) == ROWS
    assert list(path.parent.iterdir()) == [path]


def test_without_a_device_the_command_says_so_in_one_line_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_on_a_device_the_tables_of_the_asked_op_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Properties:
        L2_cache_size = 1 << 20

    monkeypatch.setattr(tune, "require_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(tune, "Where", lambda **_: WHERE)
    monkeypatch.setattr(tune, "time_us", lambda _: 1.0)
    monkeypatch.setattr(tune.timed, "builders", lambda: {"op": [partial(_case, 4)]})
    monkeypatch.setattr(tune.timed, "TABLES", {"op": ("op",)})
    assert tune.main(["--folder", str(tmp_path), "--op", "op"]) == 0
    assert json.loads((tmp_path / "sm_90" / "op.json").read_text()) == ROWS
    assert tune.main(["--op", "unknown"]) == 2
    assert "write one of op" in capsys.readouterr().err
