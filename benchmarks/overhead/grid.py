"""Runs the grid: the mock and every row up at once, window after window in random order, each checked for validity."""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.overhead import host
from benchmarks.overhead.figures import Figures, Window, percentile
from benchmarks.overhead.load import Load, Shape, Tally, requests
from benchmarks.overhead.process import Measured, free_port
from benchmarks.overhead.rows import FLOOR, Row

GATEWAY_CPU, LOAD_CPU = 0, 1
SHAPES = (
    *(Shape(streams=False, in_flight=n) for n in (1, 10, 32)),
    Shape(streams=False, rate=100.0),
    *(Shape(streams=True, in_flight=n) for n in (1, 10, 32)),
)
_CORES = 2
_MAX_TRIES = 3


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often. outside: share of the two cores that others may use before a window is void."""

    window_s: float
    rounds: int
    cold_starts: int
    outside: float


@dataclass(frozen=True, slots=True)
class Running:
    """A row and where it listens; the floor has no process of its own."""

    row: Row
    port: int
    process: Measured | None

    def cpu_s(self) -> float:
        """CPU seconds of the gateway so far."""
        return self.process.cpu_s() if self.process else 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one window saw, and the gateway's CPU seconds in it."""

    tally: Tally
    cpu_s: float


def figures(shape: Shape, seen: Seen, floor: Seen, *, has_process: bool) -> Figures:
    """Return a window's figures; "added" ones are differences to the floor's window of the same round."""
    tally, base = seen.tally, floor.tally
    times = (tally.ttfts, base.ttfts, "ttft") if shape.streams else (tally.latencies, base.latencies, "latency")
    mine, floors, word = times
    result = {
        f"{word}_p50_ms": 1e3 * percentile(mine, 0.5),
        f"{word}_p99_ms": 1e3 * percentile(mine, 0.99),
        "requests_per_s": tally.requests / tally.seconds,
    }
    if not has_process:
        return result
    result["added_p50_ms"] = result[f"{word}_p50_ms"] - 1e3 * percentile(floors, 0.5)
    result["added_p99_ms"] = result[f"{word}_p99_ms"] - 1e3 * percentile(floors, 0.99)
    if shape.streams:
        result["cpu_us_per_chunk"] = 1e6 * seen.cpu_s / (tally.requests * shape.chunks)
    else:
        result["cpu_us_per_request"] = 1e6 * seen.cpu_s / tally.requests
    return result


class Grid:
    """Holds the mock and the gateways while they are measured. `windows` and `voided` are the outcome."""

    def __init__(self, rows: Sequence[Row], effort: Effort, folder: Path) -> None:
        self._rows = rows
        self._effort = effort
        self._folder = folder
        self._mock_port = free_port()
        self._mock: Measured | None = None
        self._running: list[Running] = []
        self._first = count(step=1_000_000)
        self.windows: list[Window] = []
        self.voided: list[str] = []

    def start(self) -> None:
        """Start the mock, then each row, timing its cold starts and reading its memory at rest."""
        command = [sys.executable, "-m", "benchmarks.overhead.mock", "--port", str(self._mock_port)]
        self._mock = Measured(command, port=self._mock_port, cpus={LOAD_CPU}, log=self._folder / "mock.log")
        self._mock.wait_for(next(requests("mock", self._mock_port, streams=False)))
        for row in self._rows:
            for _ in range(self._effort.cold_starts - 1 if row.command else 0):
                self._start(row).stop()
            process = self._start(row) if row.command else None
            self._running.append(Running(row, process.port if process else self._mock_port, process))

    def stop(self) -> None:
        """Stop all processes."""
        for process in (*(running.process for running in self._running), self._mock):
            if process is not None:
                process.stop()

    def measure(self) -> None:
        """Warm every row, run the rounds, then read the peaks of memory."""
        for running in self._running:
            for shape in SHAPES:
                load = Load(running.port, running.row.model, shape, first=next(self._first))
                uvloop.run(load.run(min(1.0, self._effort.window_s)))
        for number in range(self._effort.rounds):
            for shape in random.sample(SHAPES, len(SHAPES)):
                print(f"round {number + 1} of {self._effort.rounds}: {shape.mode} {shape.name}", flush=True)
                self._round(shape)
        for running in self._running:
            if running.process is not None:
                self._note(running.row, "process", "after load", {"peak_rss_mb": running.process.peak_rss_mb()})

    def _start(self, row: Row) -> Measured:
        port = free_port()
        command = row.command(port, self._mock_port, self._folder) if row.command else ()
        process = Measured(command, cpus={GATEWAY_CPU}, log=self._folder / f"{port}.log", port=port)
        seconds = process.wait_for(next(requests(row.model, port, streams=False)))
        self._note(row, "process", "at start", {"cold_start_s": seconds, "idle_rss_mb": process.rss_mb()})
        return process

    def _round(self, shape: Shape) -> None:
        seen: dict[str, Seen] = {}
        for running in random.sample(self._running, len(self._running)):
            valid = self._valid_window(running, shape)
            if valid is not None:
                seen[running.row.name] = valid
        floor = seen.get(FLOOR.name)
        for running in self._running:
            mine = seen.get(running.row.name)
            if mine is not None and floor is not None:
                has_process = running.process is not None
                self._note(running.row, shape.mode, shape.name, figures(shape, mine, floor, has_process=has_process))

    def _valid_window(self, running: Running, shape: Shape) -> Seen | None:
        for _ in range(_MAX_TRIES):
            seen, fault = self._window(running, shape)
            if not fault:
                return seen
            self.voided.append(f"{running.row.name} {shape.mode} {shape.name}: {fault}")
            print(f"  void: {self.voided[-1]}", flush=True)
        return None

    def _window(self, running: Running, shape: Shape) -> tuple[Seen, str]:
        load = Load(running.port, running.row.model, shape, first=next(self._first))
        gateway_before, ours_before, busy_before = running.cpu_s(), self._our_cpu_s(), host.busy_s()
        tally = uvloop.run(load.run(self._effort.window_s))
        others_s = (host.busy_s() - busy_before) - (self._our_cpu_s() - ours_before)
        seen = Seen(tally, running.cpu_s() - gateway_before)
        if tally.failures:
            return seen, f"{len(tally.failures)} failed, first {tally.failures[0]}"
        share = others_s / (_CORES * tally.seconds)
        return seen, f"others used {share:.0%} of the machine" if share > self._effort.outside else ""

    def _our_cpu_s(self) -> float:
        processes = [self._mock, *(running.process for running in self._running)]
        return time.process_time() + sum(process.cpu_s() for process in processes if process is not None)

    def _note(self, row: Row, mode: str, load: str, noted: Figures) -> None:
        self.windows.append(Window(row.name, mode, load, noted))
