import os
from pathlib import Path

from headrace.gateway.ledger.reader import find, read
from headrace.gateway.ledger.record import encode
from tests.support.records import record


def fill(folder: Path) -> None:
    for number, name in enumerate(["ledger-a.jsonl", "ledger-b.jsonl"]):
        lines = b"".join(encode(record(f"dec_{number}{each}")) for each in range(3))
        path = folder / name
        path.write_bytes(lines + b'{"v":1,"decision":"dec_torn')
        os.utime(path, ns=(number * 10**9, number * 10**9))


def test_every_whole_record_comes_back_oldest_first_and_torn_lines_do_not(tmp_path: Path) -> None:
    fill(tmp_path)
    assert [each["decision"] for each in read(tmp_path)] == ["dec_00", "dec_01", "dec_02", "dec_10", "dec_11", "dec_12"]


def test_a_decision_is_found_by_its_owner_only(tmp_path: Path) -> None:
    fill(tmp_path)
    found = find(tmp_path, "dec_01", "research")
    assert found is not None
    assert found["cost_microusd"] == 215
    assert find(tmp_path, "dec_01", "others") is None
    assert find(tmp_path, "dec_99", "research") is None


def test_only_the_newest_bytes_are_searched(tmp_path: Path) -> None:
    fill(tmp_path)
    size = (tmp_path / "ledger-b.jsonl").stat().st_size
    assert find(tmp_path, "dec_12", "research", search_bytes=size) is not None
    assert find(tmp_path, "dec_00", "research", search_bytes=size) is None


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(read(tmp_path / "none")) == []
    assert find(tmp_path / "none", "dec_1", "t") is None
