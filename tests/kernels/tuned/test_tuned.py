import json
from collections.abc import Iterator
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


def _write(folder: Path, op: str, rows: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{op}.json").write_text(json.dumps(rows))


@pytest.fixture
def _layers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Four folders that could have a table: packaged and own, of the architecture and of the device."""
    for place, folder in enumerate(("packaged/sm_90", "packaged/Card", "own/sm_90", "own/Card")):
        for op in ("a", "b", "c", "d")[place:]:
            _write(tmp_path / folder, op, [{"place": place}])
    monkeypatch.setattr(tuned, "files", lambda _: tmp_path / "packaged")
    monkeypatch.setenv(tuned.FOLDER_VARIABLE, str(tmp_path / "own"))
    tuned.forget()
    yield
    tuned.forget()


@pytest.mark.usefixtures("_layers")
def test_a_table_of_ones_own_comes_before_a_packaged_one_and_the_devices_before_the_kinds() -> None:
    assert [tuned.choose(op, "sm_90/Card")["place"] for op in "abcd"] == [0, 1, 2, 3]
    assert [tuned.choose(op, "sm_90")["place"] for op in "abcd"] == [0, 0, 2, 2]


@pytest.mark.usefixtures("_layers")
def test_a_device_with_tables_is_named_after_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (12, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Card")
    assert tuned.arch(torch.device("cuda", 0)) == "sm_100/Card"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Other Card-80GB")
    assert tuned.arch(torch.device("cuda", 1)) == "sm_100"
    assert tuned.device_name(torch.device("cuda", 1)) == "Other_Card_80GB"


@pytest.mark.parametrize("rows", [{}, [], [{"block_m": "16"}], [{"block_m": 16, "max_t": 4}], [16]])
def test_a_table_that_is_none_is_refused_with_its_path(
    rows: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _write(tmp_path / "sm_90", "moe_gemm", rows)
    monkeypatch.setenv(tuned.FOLDER_VARIABLE, str(tmp_path))
    tuned.forget()
    with pytest.raises(ValueError, match=r"moe_gemm\.json: wanted a list of rows"):
        tuned.table("sm_90")
    tuned.forget()
