import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.errors import Overloaded, PayloadTooLarge, StoreError
from headrace.retrieval.library.blobs import Blobs

SHA_OF_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "files", tmp_path / "incoming")


def keep(blobs: Blobs, content: bytes) -> str:
    with blobs.begin(1_000) as upload:
        upload.write(content)
        upload.settle()
        blobs.place(upload)
        return upload.sha256


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_are_kept_under_their_hash_and_once(blobs: Blobs, tmp_path: Path) -> None:
    assert keep(blobs, b"hello") == keep(blobs, b"hello") == SHA_OF_HELLO
    assert names(tmp_path / "files") == [SHA_OF_HELLO]
    assert names(tmp_path / "incoming") == []
    assert blobs.path(SHA_OF_HELLO).read_bytes() == b"hello"
    assert blobs.path(SHA_OF_HELLO).stat().st_mode & 0o077 == 0


def test_what_was_not_placed_is_removed(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.begin(1_000) as upload:
        upload.write(b"half a fi")
    assert names(tmp_path / "incoming") == []
    assert not (tmp_path / "files").exists()


def test_a_byte_over_the_limit_is_refused(blobs: Blobs) -> None:
    with blobs.begin(10) as upload:
        upload.write(b"0123456789")
        with pytest.raises(PayloadTooLarge, match="10 bytes"):
            upload.write(b"x")


def test_a_full_disk_is_told_as_one(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        closed = False

        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(data)[:1])

    with blobs.begin(1_000) as upload:
        held = upload._file
        monkeypatch.setattr(upload, "_file", Full())
        with pytest.raises(Overloaded, match="no room left"):
            upload.write(b"x")
        monkeypatch.setattr(upload, "_file", held)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"retrieval\.folder"):
        Blobs(tmp_path / "files", tmp_path / "file").begin(10)


def test_a_late_write_of_another_thread_writes_nothing(blobs: Blobs) -> None:
    upload = blobs.begin(1_000)
    upload.close()
    upload.write(b"late")
    assert not upload.path.exists()


def test_a_sweep_between_opening_and_locking_loses_no_upload(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swept = fcntl.flock, []

    def late(file: int | FileIO, how: int) -> None:
        if not swept and not how & fcntl.LOCK_NB:
            swept.append(None)
            swept.append(blobs.sweep(lambda _: True))
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert keep(blobs, b"hello") == SHA_OF_HELLO
    assert swept == [None, 1]
    assert blobs.path(SHA_OF_HELLO).read_bytes() == b"hello"


def test_what_a_sweep_finds_abandoned_is_removed_under_its_lock(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "incoming" / "a.part"
    part.parent.mkdir()
    part.touch()
    unlink, locked = Path.unlink, []

    def watched(path: Path, *, missing_ok: bool = False) -> None:
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    assert blobs.sweep(lambda _: True) == 1
    assert locked == [part]


def test_a_sweep_removes_what_nobody_needs_and_nothing_else(blobs: Blobs, tmp_path: Path) -> None:
    needed, orphan = keep(blobs, b"needed"), keep(blobs, b"orphan")
    (tmp_path / "files" / "README").write_text("not ours")
    with blobs.begin(1_000) as arriving:
        arriving.write(b"on its way")
        assert blobs.sweep(lambda sha256: sha256 == needed) == 1
        assert arriving.path.exists()
    assert names(tmp_path / "files") == sorted(["README", needed])
    assert orphan != needed


KILLED = """
import os, signal, sys
from pathlib import Path
from headrace.retrieval.library.blobs import Blobs
upload = Blobs(Path(sys.argv[1]) / "files", Path(sys.argv[1]) / "incoming").begin(1 << 30)
upload.write(b"x" * 100_000)
print("begun", flush=True)
signal.pause()
"""


@pytest.fixture
def uploading(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def test_what_a_killed_process_left_is_told_from_what_another_one_writes(
    blobs: Blobs, tmp_path: Path, uploading: "subprocess.Popen[str]"
) -> None:
    assert blobs.sweep(lambda _: True) == 0
    assert len(names(tmp_path / "incoming")) == 1
    uploading.kill()
    uploading.wait()
    assert blobs.sweep(lambda _: True) == 1
    assert names(tmp_path / "incoming") == []


def test_a_link_among_the_uploads_is_not_followed(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "incoming" / "a.part").symlink_to(outside)
    with pytest.raises(OSError, match=r"symbolic links|ELOOP"):
        blobs.sweep(lambda _: True)
    assert outside.read_text() == "mine"
