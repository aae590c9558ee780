import csv
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import kernels_gpu
from benchmarks.gpu import rows
from headrace.kernels.inspect import timed
from headrace.kernels.inspect.cases import Case, Where

ROOT = Path(__file__).parents[3]


def test_without_a_device_the_command_says_so_in_one_line_and_ends_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels_gpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "no CUDA device" in done.stderr


def test_every_timed_op_is_checked_first() -> None:
    checked = {build.func.__name__ for build in kernels_gpu.small()}
    assert checked == {"gate", "align", "gate_and_up", "experts", "prefill", "decode", "select"}
    assert len(checked) == len(timed.builders())


@pytest.fixture
def _card(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        L2_cache_size = 1 << 20

    monkeypatch.setattr(kernels_gpu, "require_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(kernels_gpu, "Where", lambda **_: Where(dtype=torch.float32))
    monkeypatch.setattr(kernels_gpu, "time_us", lambda _: 5.0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(kernels_gpu, "small", lambda: [partial(_case, 1)])
    monkeypatch.setattr(timed, "builders", lambda: {"op": [partial(_case, 1)], "other": [partial(_case, 2)]})


def _case(tokens: int, where: Where) -> Case:
    x = where.normal(tokens)
    return Case("op", f"T={tokens}", lambda: x, 4, {"x": x})


@pytest.mark.usefixtures("_card")
def test_on_a_device_every_row_is_written_with_what_it_was_measured_on(tmp_path: Path) -> None:
    assert kernels_gpu.main(["--csv", str(tmp_path / "out.csv"), "--op", "op"]) == 0
    with (tmp_path / "out.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [(row["shape"], row["who"], row["us"], row["device"]) for row in written] == [
        ("T=1", "headrace", "5.00", "Card"), ("T=1", "torch", "5.00", "Card"),
    ]  # fmt: skip
    assert "torch" in written[0]["versions"]


@pytest.mark.usefixtures("_card")
def test_a_wrong_kernel_ends_the_run_before_anything_is_timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rows, "is_correct", lambda *_: False)
    assert kernels_gpu.main(["--csv", str(tmp_path / "out.csv")]) == 1
    assert "kernels that differ from torch on Card" in capsys.readouterr().out
    assert not (tmp_path / "out.csv").exists()
