"""Lines from the event loop to a sink on a thread of its own: bounded, in batches, never waiting on the loop's side.

What a process loses when it is killed is what came in since the last flush (`flush_s`) and the end of a line that was
being written. When the queue is full the newest line is dropped and counted; the caller is never held up.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol


class Sink(Protocol):
    """Takes whole lines, on the writer's thread only."""

    def write(self, lines: bytes) -> None:
        """Take lines; OSError if they cannot be kept."""
        ...

    def close(self) -> None:
        """Make everything durable and let go."""
        ...


class LineWriter:
    """A bounded queue of lines and the thread that empties it. `write` is for one loop or many threads.

    on_loss(n) is told how many lines were lost, on whichever thread noticed; it must be quick and thread-safe.
    """

    def __init__(
        self, sink: Sink, *, flush_s: float, capacity: int, on_loss: Callable[[int], None], name: str = "ledger"
    ) -> None:
        self._sink = sink
        self._flush_s = flush_s
        self._capacity = capacity
        self._on_loss = on_loss
        self._lines: deque[bytes] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"headrace-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue one line, or count it as lost when the queue is full or the writer has stopped."""
        if len(self._lines) >= self._capacity or self._stopping.is_set():
            self._on_loss(1)
            return
        self._lines.append(line)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued and end; waits at most `timeout_s`."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._flush_s):
            self._flush()
        self._flush()
        with suppress(OSError):  # every line was handed to the system; failed writes have been counted
            self._sink.close()

    def _flush(self) -> None:
        batch: list[bytes] = []
        while self._lines:
            batch.append(self._lines.popleft())
        if not batch:
            return
        try:
            self._sink.write(b"".join(batch))
        except OSError:
            self._on_loss(len(batch))
