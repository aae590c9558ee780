import os
import stat
from pathlib import Path

import pytest

from headrace.gateway.ledger.files import RotatingFiles, newest_first


def files(folder: Path, rotate_bytes: int = 100, keep_files: int = 3, *, fsync: bool = False) -> RotatingFiles:
    return RotatingFiles(folder, rotate_bytes=rotate_bytes, keep_files=keep_files, fsync=fsync, now=lambda: 1.79e9)


def test_the_first_write_makes_folder_and_file_for_the_owner_only(tmp_path: Path) -> None:
    sink = files(tmp_path / "a" / "b", fsync=True)
    sink.write(b"one\n")
    sink.close()
    (path,) = newest_first(tmp_path / "a" / "b")
    assert path.read_bytes() == b"one\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(os.getpid()) in path.name


def test_a_large_file_is_followed_by_a_new_one_and_old_ones_go(tmp_path: Path) -> None:
    sink = files(tmp_path)
    for number in range(6):
        sink.write(b"%d" % number * 79 + b"\n")
    sink.close()
    kept = sorted(path.read_bytes()[:1] for path in newest_first(tmp_path))
    assert kept == [b"3", b"4", b"5"]


def test_a_batch_over_the_bound_still_goes_into_one_file(tmp_path: Path) -> None:
    sink = files(tmp_path)
    sink.write(b"x" * 500 + b"\n")
    sink.close()
    sink.close()
    assert len(list(newest_first(tmp_path))) == 1


def test_a_folder_that_cannot_be_made_is_an_error_of_that_write_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = files(tmp_path / "file" / "below")
    with pytest.raises(OSError, match="Not a directory"):
        sink.write(b"a\n")
    sink.close()


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    sink = files(tmp_path, keep_files=1)
    for _ in range(3):
        sink.write(b"x" * 90 + b"\n")
    sink.close()
    assert (tmp_path / "notes.txt").exists()
    assert len(list(newest_first(tmp_path))) == 1
