"""Notes on disk about running processes, so that the next start can end what a killed gateway left behind.

A process is ended only if it carries, in its environment, the random mark its note names: proof that it is ours.
"""

import contextlib
import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path

import msgspec

MARK_VARIABLE = "HEADRACE_PROCESS_MARK"


@dataclass(frozen=True, slots=True)
class Note:
    """One running process: its mark, and the gateway that owns it (pid and kernel start time)."""

    name: str
    mark: str
    pid: int
    owner_pid: int
    owner_started: str


class NoteBook:
    """The notes of one gateway in a folder shared by all gateways of a user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._owner = (os.getpid(), start_time(os.getpid()))

    def new_mark(self) -> str:
        """Return a mark nobody else has."""
        return secrets.token_hex(16)

    def write(self, name: str, mark: str, pid: int) -> None:
        """Note a process that has just started."""
        note = Note(name, mark, pid, *self._owner)
        temporary = self._folder / f".{mark}"
        temporary.write_bytes(msgspec.json.encode(note))
        temporary.replace(self._folder / f"{mark}.json")

    def remove(self, mark: str) -> None:
        """Forget a process that has ended."""
        (self._folder / f"{mark}.json").unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """Kill what gateways that are gone left running; return the names. A living gateway's notes stay."""
        ended = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                note = msgspec.json.decode(path.read_bytes(), type=Note)
            except (msgspec.DecodeError, OSError):
                path.unlink(missing_ok=True)
                continue
            if note.owner_started and start_time(note.owner_pid) == note.owner_started:
                continue
            if kill_marked(note.mark):
                ended.append(note.name)
            path.unlink(missing_ok=True)
        return ended


def start_time(pid: int) -> str:
    """Return the kernel's start time of a process in ticks, "" if it is gone; with the pid it is unique."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def kill_marked(mark: str) -> int:
    """Kill every process of ours that carries the mark; return how many."""
    needle = f"{MARK_VARIABLE}={mark}".encode()
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                killed += 1
    return killed
