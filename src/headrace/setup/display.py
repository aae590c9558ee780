"""How long steps are shown: bars on a terminal, plain lines anywhere else. Safe to use from several threads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

LINE_EVERY_S: Final = 15.0
MEGABYTE: Final = 1_000_000


class Display(Protocol):
    """Shows steps that run side by side; each has a name and is at `done` of `total` (0: unknown)."""

    def show(self, step: str, detail: str, done: int = 0, total: int = 0) -> None:
        """Say where a step stands; the first call starts it."""
        ...

    def end(self, step: str, outcome: str = "done") -> None:
        """Say how a step ended."""
        ...

    def close(self) -> None:
        """Stop drawing."""
        ...


def megabytes(done: int, total: int) -> str:
    """Return `12 of 345 MB`, or `12 MB` where the total is not known."""
    if total <= 0:
        return f"{done / MEGABYTE:.0f} MB"
    return f"{done / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB"


def open_display(console: Console) -> Display:
    """Return bars for a person at a terminal, lines for a log file."""
    return Bars(console) if console.is_terminal else Lines(console)


class Bars:
    """One bar a step: what, how much, how long."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<30}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
        )
        self._lock = threading.Lock()
        self._tasks: dict[str, int] = {}
        self._progress.start()

    def show(self, step: str, detail: str, done: int = 0, total: int = 0) -> None:
        """Move the bar of a step, or let it pulse while its total is unknown."""
        with self._lock:
            if step not in self._tasks:
                self._tasks[step] = self._progress.add_task(step, total=None, detail=detail)
            task = self._tasks[step]
        self._progress.update(task, completed=done, total=total or None, detail=detail)  # type: ignore[arg-type]

    def end(self, step: str, outcome: str = "done") -> None:
        """Fill the bar and stop its clock."""
        self.show(step, outcome, 1, 1)
        self._progress.stop_task(self._tasks[step])  # type: ignore[arg-type]

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._progress.stop()


@dataclass(slots=True)
class _Line:
    started: float
    said: float


@dataclass(slots=True)
class Lines:
    """A line when a step starts, one every quarter of a minute while it runs, one when it ends."""

    console: Console
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _steps: dict[str, _Line] = field(default_factory=dict)

    def show(self, step: str, detail: str, done: int = 0, total: int = 0) -> None:
        """Write a line if the step is new or has been silent for long."""
        now = self.clock()
        with self._lock:
            line = self._steps.setdefault(step, _Line(started=now, said=float("-inf")))
            if now - line.said < LINE_EVERY_S:
                return
            line.said = now
        share = f" ({100 * done // total}%)" if total > 0 else ""
        self._write(f"{step}: {detail}{share}")

    def end(self, step: str, outcome: str = "done") -> None:
        """Write how long the step took."""
        now = self.clock()
        with self._lock:
            line = self._steps.pop(step, _Line(started=now, said=now))
        self._write(f"{step}: {outcome} after {now - line.started:.0f} s")

    def close(self) -> None:
        """Lines need no ending."""

    def _write(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)
