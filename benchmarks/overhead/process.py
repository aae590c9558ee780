"""A measured process: started on chosen cores, waited for, asked for its CPU time and memory, stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_STOP_S = 10.0


def free_port() -> int:
    """Return a loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def pinned(cpus: set[int]) -> Iterator[None]:
    """Run the body, and what it starts, on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Measured:
    """One process with its children, in a session of its own."""

    def __init__(self, command: Sequence[str], *, port: int, cpus: set[int], log: Path) -> None:
        self.port = port
        self._log = log
        self._started = time.perf_counter()
        with pinned(cpus), log.open("wb") as sink:
            self._popen = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
        self._process = psutil.Process(self._popen.pid)

    def wait_for(self, request: bytes, *, within_s: float = 60.0) -> float:
        """Ask until the answer's status is 200; return the seconds from start to that answer."""
        while time.perf_counter() - self._started < within_s:
            if self._popen.poll() is not None:
                raise RuntimeError(f"process ended with {self._popen.returncode}: {self._tail()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.sendall(request)
                    if connection.recv(4096).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - self._started
            except OSError:
                pass
            time.sleep(0.005)
        raise RuntimeError(f"no answer on port {self.port} in {within_s}s: {self._tail()}")

    def cpu_s(self) -> float:
        """User and system seconds of the process and its living children so far."""
        total = 0.0
        for process in self._tree():
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def rss_mb(self) -> float:
        """Resident memory of the process and its children now, in MB of 10^6 bytes."""
        return float(sum(process.memory_info().rss for process in self._tree())) / 1e6

    def peak_rss_mb(self) -> float:
        """The kernel's own high-water marks of the process and its children, summed."""
        kilobytes = 0
        for process in self._tree():
            status = Path(f"/proc/{process.pid}/status").read_text()
            kilobytes += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        return kilobytes * 1024 / 1e6

    def stop(self) -> None:
        """End the process and everything it started."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]
