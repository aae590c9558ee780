import csv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import rows
from benchmarks.gpu.rivals import Call, Rival
from headrace.kernels import dispatch
from headrace.kernels.inspect import cases
from headrace.kernels.inspect.cases import Case, Where
from headrace.kernels.inspect.roofline import Experts

WHERE = Where(dtype=torch.float32)
ABOUT = dict.fromkeys(("date", "commit", "device", "versions"), "x")


def _machine(timer: Callable[[Sequence[Call]], float]) -> rows.Machine:
    return rows.Machine(WHERE, timer, 1 << 20, ABOUT)


def _case(where: Where, *, seen: list[str] | None = None) -> Case:
    x = where.normal(8)

    def run() -> torch.Tensor:
        if seen is not None:
            seen.append(dispatch.mode())
        return x

    return Case("op", "T=8", run, 3_350_000, {"x": x})


def test_ours_and_every_rival_have_a_row_with_time_floor_and_both_ratios() -> None:
    times = iter((20.0, 30.0))
    found = list(
        rows.rows_of(_case, _machine(lambda _: next(times)), lambda _: [Rival("other", lambda case: case.run)])
    )
    assert [(row["who"], row["us"], row["floor_us"]) for row in found] == [
        ("headrace", "20.00", "1.00"), ("other", "30.00", "1.00"),
    ]  # fmt: skip
    assert [(row["of_floor"], row["beside_ours"]) for row in found] == [("20.00", "1.00"), ("30.00", "1.50")]
    assert set(found[0]) == set(rows.COLUMNS)


def test_inputs_take_turns_and_ours_insists_on_the_kernel() -> None:
    seen: list[str] = []

    def timer(calls: Sequence[Call]) -> float:
        for call in calls:
            call()
        assert len(calls) == 2
        return 1.0

    list(rows.rows_of(partial(_case, seen=seen), _machine(timer), lambda _: []))
    assert seen == ["triton", "triton"]


def test_who_is_not_here_or_fails_has_a_note_and_no_time() -> None:
    def absent(_: Case) -> Call:
        raise ImportError("No module named 'vllm'")

    def refuses(_: Case) -> Call:
        raise RuntimeError("out of memory\nand more")

    others = [Rival("vllm", absent), Rival("flex", refuses)]
    found = list(rows.rows_of(_case, _machine(lambda _: 1.0), lambda _: others))
    assert [(row["us"], row["note"]) for row in found[1:]] == [
        ("", "not here: No module named 'vllm'"), ("", "RuntimeError: out of memory"),
    ]  # fmt: skip


def test_torch_is_left_out_where_its_scratch_would_not_fit() -> None:
    def huge(where: Where) -> Case:
        return Case("op", "huge", lambda: None, rows.TOO_LARGE_FOR_TORCH + 1, {"x": where})

    found = list(rows.rows_of(huge, _machine(lambda _: 1.0), lambda _: [Rival("torch", lambda case: case.run)]))
    assert found[1]["note"].startswith("left out")


def test_the_floor_is_the_slower_of_bytes_and_products() -> None:
    products = Case("op", "", lambda: None, 1, {}, flops=989e12)
    assert rows.floor_us(products) == pytest.approx(1e6)


def test_a_kernel_that_differs_from_torch_is_found() -> None:
    def differs(where: Where) -> Case:
        x = where.normal(8)
        return Case("op", "", lambda: x + (dispatch.mode() == "triton"), 1, {"x": x})

    assert rows.is_correct(_case, WHERE)
    assert not rows.is_correct(differs, WHERE)


def test_a_real_kernel_agrees_with_torch_on_the_same_case() -> None:
    layer = Experts("8 of 128 x 64", hidden=128, inner=64, experts=8, top_k=2)
    assert rows.is_correct(partial(cases.gate_and_up, 5, layer, "int4"), WHERE)
    assert rows.is_correct(partial(cases.gate, 5, layer), WHERE)


def test_the_rows_are_written_with_all_columns(tmp_path: Path) -> None:
    found = list(rows.rows_of(_case, _machine(lambda _: 1.0), lambda _: []))
    rows.write(found, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        assert list(csv.DictReader(file)) == found
