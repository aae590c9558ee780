from types import SimpleNamespace

import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.inspect import budgets, bytes_moved
from headrace.kernels.inspect.bytes_moved import Moved, counting, measure
from tests.support.kernels import probes


def test_every_lane_whose_mask_is_true_counts_with_its_size() -> None:
    source = torch.arange(33, dtype=torch.float32).reshape(3, 11)
    out = torch.zeros_like(source)
    with counting() as tally:
        probes.copy_rows[(3,)](source, out, 11, 11, BLOCK=16, WIDE=True)
    assert (tally.loaded, tally.stored, tally.issued) == (33 * 4, 33 * 4, 2 * 33 * 4)
    assert torch.equal(out, source)


def test_nothing_is_counted_after_the_context() -> None:
    source = torch.ones(3, 11, dtype=torch.int8)
    with counting() as tally:
        pass
    probes.copy_rows[(3,)](source, torch.zeros_like(source), 11, 11, BLOCK=16, WIDE=True)
    assert tally.issued == 0


@pytest.mark.usefixtures("kernels")
def test_decode_products_and_decode_attention_stay_within_the_bytes_they_need() -> None:
    moved = list(measure(["moe_gemm", "sparse_decode"]))
    assert {one.op for one in moved} == {"moe_gemm", "sparse_decode"}
    assert all(one.ratio >= 1 for one in moved), [one for one in moved if one.ratio < 1]
    assert budgets.breaches([], moved, budgets.load()) == []


def test_counting_where_nothing_is_interpreted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")
    with pytest.raises(RuntimeError, match="HEADRACE_KERNELS=triton"):
        next(measure())


def test_the_ratio_is_of_what_is_issued_to_what_is_needed() -> None:
    assert Moved("op", "shape", 100, 115).ratio == 1.15


@pytest.mark.full
def test_a_process_of_its_own_counts_the_same() -> None:
    assert [one.op for one in bytes_moved.measure_apart(["moe_gate"])] == ["moe_gate"]


def test_the_process_that_counts_interprets_and_insists_on_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: object) -> SimpleNamespace:
        asked.append((command, env))
        line = '{"op": "moe_gate", "shape": "T=1", "compulsory": 10, "issued": 11, "whose": "headrace"}\n'
        return SimpleNamespace(returncode=len(asked) - 1, stdout=line, stderr="no such case")

    monkeypatch.setattr(bytes_moved.subprocess, "run", run)
    assert bytes_moved.measure_apart(["moe_gate"]) == [Moved("moe_gate", "T=1", 10, 11)]
    command, environment = asked[0]
    assert command[-1] == "moe_gate"
    assert (environment["TRITON_INTERPRET"], environment["HEADRACE_KERNELS"]) == ("1", "triton")
    with pytest.raises(RuntimeError, match="no such case"):
        bytes_moved.measure_apart()
