"""Structured log lines: one event per request with its decision, and the gateway's own events. JSON on stderr.

A request's event is cut from its ledger record, so it can hold no prompt, key or answer. Lines leave on a writer's
thread: a slow terminal or a full pipe never holds the event loop.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from headrace.gateway.ledger.record import Record
from headrace.gateway.ledger.writer import LineWriter

FLUSH_S: Final = 0.1
QUEUED_LINES: Final = 10_000


class Stream:
    """A Sink over a file descriptor that is not ours to close."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, lines: bytes) -> None:
        """Write all of it; OSError when nobody reads any more."""
        view = memoryview(lines)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        """Leave the descriptor open."""


class Log:
    """The gateway's log: `event` for its own doings, `request` for one finished request. Safe to share."""

    def __init__(self, writer: LineWriter, *, requests: bool = True) -> None:
        self._writer = writer
        self._requests = requests
        self._logger = structlog.wrap_logger(
            _Output(writer.write),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(serializer=_encode),
            ],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    @classmethod
    def to_stderr(cls, *, requests: bool, on_loss: Callable[[int], None]) -> "Log":
        """Return a log on stderr; its writer is started by `start`."""
        sink = Stream(sys.stderr.fileno())
        return cls(
            LineWriter(sink, flush_s=FLUSH_S, capacity=QUEUED_LINES, on_loss=on_loss, name="log"), requests=requests
        )

    def start(self) -> None:
        """Start the writer's thread."""
        self._writer.start()

    def close(self) -> None:
        """Write what is queued."""
        self._writer.close()

    def event(self, event: str, **fields: object) -> None:
        """Log something the gateway did. Never pass a prompt, a key or retrieved text."""
        self._logger.info(event, **fields)

    def request(self, record: Record) -> None:
        """Log one finished request with its decision; `timestamp` is when it began."""
        if not self._requests:
            return
        plan, answer = record.plan, record.answer
        line = {
            "event": "request",
            "timestamp": record.time,
            "request": record.request,
            "decision": record.decision,
            "key": record.key,
            "tenant": record.tenant,
            "endpoint": record.endpoint,
            "status": record.status,
            "outcome": record.outcome,
            "rule": None if plan is None else plan.rule,
            "difficulty": None if record.features is None else record.features.difficulty,
            "tier": None if answer is None else answer.tier,
            "model": None if answer is None else answer.model,
            "attempts": len(record.attempts),
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "cost_microusd": record.cost_microusd,
            "ttft_s": record.ttft_s,
            "total_s": record.total_s,
            "revision": record.revision,
        }
        self._writer.write(_encode(line))


class _Output:
    """What structlog hands its finished lines to."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def info(self, line: bytes) -> None:
        self._write(line)


def _encode(event: dict[str, Any], **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=str) + b"\n"
