import os
import subprocess
import sys
from pathlib import Path

import msgspec

from headrace.models.backends.leftovers import MARK_VARIABLE, Note, NoteBook, start_time


def sleeper(mark: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"],
        env={**os.environ, MARK_VARIABLE: mark},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def note(folder: Path, mark: str, pid: int, *, owner: tuple[int, str]) -> None:
    (folder / f"{mark}.json").write_bytes(msgspec.json.encode(Note("engine", mark, pid, *owner)))


def test_what_a_gone_gateway_left_is_ended_and_forgotten(tmp_path: Path) -> None:
    process = sleeper("mark-a")
    book = NoteBook(tmp_path)
    note(tmp_path, "mark-a", process.pid, owner=(os.getpid(), "another start time"))
    assert book.end_leftovers() == ["engine"]
    assert process.wait(10) == -9
    assert list(tmp_path.iterdir()) == []


def test_processes_of_a_living_gateway_and_strangers_are_left_alone(tmp_path: Path) -> None:
    ours, stranger = sleeper("mark-b"), sleeper("mark-c")
    book = NoteBook(tmp_path)
    book.write("mine", "mark-b", ours.pid)
    note(tmp_path, "mark-never-used", stranger.pid, owner=(2**22 - 1, "1"))
    assert book.end_leftovers() == []
    assert (ours.poll(), stranger.poll()) == (None, None)
    assert [path.stem for path in tmp_path.iterdir()] == ["mark-b"]
    book.remove("mark-b")
    assert list(tmp_path.iterdir()) == []
    for process in (ours, stranger):
        process.kill()
        process.wait(10)


def test_a_damaged_note_is_dropped(tmp_path: Path) -> None:
    book = NoteBook(tmp_path)
    (tmp_path / "x.json").write_bytes(b"{")
    assert book.end_leftovers() == []
    assert list(tmp_path.iterdir()) == []


def test_start_time_tells_a_process_from_a_later_one_with_its_pid() -> None:
    assert start_time(os.getpid()).isdigit()
    assert start_time(2**22 - 1) == ""
