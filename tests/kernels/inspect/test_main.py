import csv
import json
from pathlib import Path

import pytest

from headrace.kernels.inspect import __main__ as command
from headrace.kernels.inspect.bytes_moved import Moved
from headrace.kernels.inspect.facts import Counts, Facts
from headrace.kernels.inspect.worker import Request

GOOD = Facts(
    "headrace", "moe_gemm", "kernel", "sm_90", "decode", "T=1", "M=16", 4, 3,
    registers=96, reads_weights=True, counts=Counts(weight_bytes=8, weight_bytes_wide=8),
)  # fmt: skip
BAD = Facts("headrace", "moe_gemm", "kernel", "sm_90", "decode", "T=2", "M=32", 4, 3, spill_bytes=8)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    seen: list[Request] = []

    def inspect_all(request: Request, *, cache: str | None, jobs: int) -> list[Facts]:
        assert cache is None
        assert jobs >= 1
        seen.append(request)
        return [GOOD, BAD] if "sm_80" in request.arches else [GOOD] if "none" not in request.ops else []

    monkeypatch.setattr(command, "inspect_all", inspect_all)
    monkeypatch.setattr(command, "measure_apart", lambda _: [Moved("moe_gemm", "T=1", 100, 101)])
    return seen


def test_within_the_budgets_check_ends_well(asked: list[Request], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--check", "--arch", "sm_90", "--op", "moe_gemm", "--ours-only"]) == 0
    assert (asked[0].arches, asked[0].ops, asked[0].replaced) == (["sm_90"], ["moe_gemm"], False)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "predicted, not timed" in shown.out
    assert "floor" not in shown.out.split("bytes  moe_gemm")[0]


def test_a_broken_budget_is_one_line_and_exit_1(asked: list[Request], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--check"]) == 1
    assert asked[0].replaced
    assert capsys.readouterr().err == (
        "breach: headrace moe_gemm kernel [T=2] M=32 on sm_90: 8 bytes spilled, limit 0\n"
    )


@pytest.mark.usefixtures("asked")
def test_without_check_a_breach_is_only_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--json", "--no-bytes"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["breaches"]) == 1
    assert document["bytes"] == []


@pytest.mark.usefixtures("asked")
def test_a_check_of_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--check", "--arch", "sm_90", "--op", "none"]) == 1
    assert "nothing to check" in capsys.readouterr().err


@pytest.mark.usefixtures("asked")
def test_all_figures_can_be_written(tmp_path: Path) -> None:
    assert command.main(["--csv", str(tmp_path / "out.csv"), "--arch", "sm_90"]) == 0
    with (tmp_path / "out.csv").open() as file:
        kinds = {row["kind"] for row in csv.DictReader(file)}
    assert kinds == {"kernel", "bytes", "floor"}
