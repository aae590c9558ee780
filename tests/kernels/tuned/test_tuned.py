import json
from pathlib import Path

import pytest
import torch

from headrace.kernels import tuned

ROWS = [{"max_t": 16, "max_k": 64, "block_m": 16}, {"max_t": 16, "block_m": 32}, {"block_m": 128}]


@pytest.fixture
def _rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sm_90").mkdir()
    (tmp_path / "sm_90" / "op.json").write_text(json.dumps(ROWS))
    monkeypatch.setattr(tuned, "files", lambda _: tmp_path)
    tuned.table.cache_clear()


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(("t", "k", "block_m"), [(16, 64, 16), (16, 65, 32), (17, 1, 128)])
def test_the_first_row_whose_bounds_hold_is_taken(t: int, k: int, block_m: int) -> None:
    assert tuned.choose("op", "sm_90", t=t, k=k) == {"block_m": block_m}
    tuned.table.cache_clear()


def test_every_table_ends_in_a_row_without_a_bound() -> None:
    folder = Path(tuned.__file__).parent
    for path in folder.glob("*/*.json"):
        assert not any(word.startswith(tuned.BOUND) for word in json.loads(path.read_text())[-1]), path


def test_a_host_without_a_gpu_reads_the_table_of_sm_90() -> None:
    assert tuned.arch(torch.device("cpu")) == "sm_90"
