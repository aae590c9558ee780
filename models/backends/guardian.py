"""Stands between the gateway and one engine or worker, so that nothing survives its owner. Standard library only.

Run by path as `python -I guardian.py LIFELINE_FD STOP_S LOG_FILE MAX_LOG_BYTES -- COMMAND...`, in a session of its own.
It starts the command, copies its output to a size-capped log, and ends the whole process group when it gets SIGTERM,
when the command ends, or when the lifeline (a pipe whose other end the gateway holds) closes, which a kill -9 of the
gateway does, too. Its exit status is the command's (128 + n for signal n).
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_READ_BYTES = 65536


class CappedLog:
    """Appends to a file; at `max_bytes` the file becomes FILE.1 (replacing the last one) and starts afresh."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append; output is dropped, not waited for, when the disk refuses it."""
        with contextlib.suppress(OSError):
            if self._file.tell() + len(data) > self._max_bytes:
                self._file.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def guard(lifeline: int, stop_s: float, log: CappedLog, command: list[str]) -> int:
    """Run the command until it ends or must end; return its exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    try:
        child = subprocess.Popen(  # noqa: S603  (the command is the caller's own)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  (one thread here)
        )
    except OSError as exc:
        log.write(f"could not start {command[0]!r}: {exc}\n".encode())
        return 127
    output = child.stdout.fileno() if child.stdout else -1
    sources = [lifeline, output, wake_read]
    kill_at: float | None = None
    while child.poll() is None:
        wait_s = None if kill_at is None else max(kill_at - time.monotonic(), 0.0)
        ready, _, _ = select.select(sources, [], [], wait_s)
        if output in ready and not _copy(output, log):
            sources.remove(output)
        signals = os.read(wake_read, 64) if wake_read in ready else b""
        if kill_at is None and (lifeline in ready or signal.SIGTERM in signals or signal.SIGINT in signals):
            child.terminate()
            kill_at = time.monotonic() + stop_s
            sources.remove(lifeline)
        if kill_at is not None and time.monotonic() >= kill_at:
            child.kill()
            child.wait()
    _end_the_rest()
    while select.select([output], [], [], 0)[0] and _copy(output, log):
        pass
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _copy(output: int, log: CappedLog) -> bool:
    data = os.read(output, _READ_BYTES)
    log.write(data)
    return bool(data)


def _end_the_rest() -> None:
    """Kill whatever the command left behind in our process group or handed to us as orphans."""
    me, group = os.getpid(), os.getpgrp()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == me or int(fields[2]) == group:
                os.kill(int(entry.name), signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Parse the command line above and guard."""
    lifeline, stop_s, path, max_bytes, _, *command = arguments
    return guard(int(lifeline), float(stop_s), CappedLog(Path(path), int(max_bytes)), command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
