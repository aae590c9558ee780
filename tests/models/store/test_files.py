import errno
import hashlib
import io
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.models.store.files import copy_stream, disk_errors, sha256_of, whole_file


def test_copying_returns_the_hash_of_what_went_through() -> None:
    target = io.BytesIO()
    assert copy_stream(io.BytesIO(b"abc"), target, cap=3) == hashlib.sha256(b"abc").hexdigest()
    assert target.getvalue() == b"abc"


def test_copying_stops_at_the_cap() -> None:
    with pytest.raises(StoreError, match="grows over its stated 2 bytes"):
        copy_stream(io.BytesIO(b"abc"), io.BytesIO(), cap=2)


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    def break_off() -> None:
        with whole_file(tmp_path / "f") as handle:
            handle.write(b"half")
            raise StoreError("broken off")

    with pytest.raises(StoreError, match="broken off"):
        break_off()
    assert list(tmp_path.iterdir()) == []
    with whole_file(tmp_path / "f") as handle:
        handle.write(b"all")
    assert sha256_of(tmp_path / "f") == hashlib.sha256(b"all").hexdigest()


@pytest.mark.parametrize(("code", "cure"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written")])
def test_disk_errors_become_one_line(tmp_path: Path, code: int, cure: str) -> None:
    with pytest.raises(StoreError, match=cure), disk_errors(tmp_path / "f"):
        raise OSError(code, "no")


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path / "f"):
        raise FileNotFoundError(errno.ENOENT, "no")
