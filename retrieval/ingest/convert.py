"""Conversion of untrusted files, seen from outside: locked-down processes are kept for many files, and replaced.

Blocking: call it in a thread. One Converter a job, so that files of different owners never meet in one process.
"""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

import msgspec

from headrace.contracts.errors import InvalidRequest, SetupError
from headrace.contracts.retrieval import Chunk, Converted
from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.ingest import frames, refusals
from headrace.retrieval.ingest.formats import MARKUP as MARKED_UP
from headrace.retrieval.ingest.formats import detect
from headrace.retrieval.ingest.frames import MARKUP, PLAIN, READY
from headrace.retrieval.ingest.limits import Limits

_START_S: Final = 60.0
_MOST_BYTES_PER_CHARACTER: Final = 8  # four of text, and what tells of the chunks
_MODULE: Final = ("-I", "-X", "utf8", "-m", "headrace.retrieval.ingest.child")
_ALONE: Final = {"TOKENIZERS_PARALLELISM": "false"}
_FRAME_ROOM: Final = 1 << 20
_MOST_NAME: Final = 4096


class Converter:
    """Turns files into text and passages. Safe to share between threads: one file at a time.

    embedder: folder of the embedding model whose tokenizer `cut` counts with.
    """

    def __init__(self, limits: Limits | None = None, *, embedder: Path | None = None) -> None:
        self.limits = limits or Limits()
        self._embedder = embedder
        self._turn = threading.Lock()
        self._processes: dict[str, _Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def convert(self, content: bytes, name: str) -> Converted:
        """Return a file as text; InvalidRequest with the reason's code where it is not one that can be read."""
        return self._done(content, name, None).converted

    def cut(self, content: bytes, name: str, sizes: Sizes) -> tuple[Converted, tuple[Chunk, ...]]:
        """Return a file as text and its passages; both are made in the other process, within the time of one file."""
        if self._embedder is None:
            raise ValueError("a Converter without an embedder cannot cut")
        done = self._done(content, name, sizes)
        text = done.converted.text
        return done.converted, tuple(
            msgspec.structs.replace(one, text=text[one.start : one.end]) for one in done.chunks
        )

    def _done(self, content: bytes, name: str, sizes: Sizes | None) -> frames.Done:
        if len(content) > self.limits.max_bytes:
            raise refusals.too_many_bytes(len(content), self.limits.max_bytes)
        kind = MARKUP if detect(name, content) in MARKED_UP else PLAIN
        with self._turn:
            process = self._processes.get(kind) or _Process(kind, self.limits, self._embedder)
            self._processes[kind] = process
            reply = process.ask(frames.Task(name[:_MOST_NAME], self.limits, sizes), content)
            if reply is None:
                process.end()
                del self._processes[kind]
                raise process.verdict()
        if isinstance(reply, frames.Refused):
            raise InvalidRequest(reply.message, code=reply.code)
        return msgspec.structs.replace(reply, converted=msgspec.structs.replace(reply.converted, name=name))

    def close(self) -> None:
        """End the processes; the next file starts another."""
        with self._turn:
            while self._processes:
                self._processes.popitem()[1].end()

    def stop(self) -> None:
        """End what runs now, from another thread: the file in work is refused."""
        for process in tuple(self._processes.values()):
            process.kill()


def convert(content: bytes | Path, name: str, limits: Limits | None = None) -> Converted:
    """Return one file as text; for many, keep a Converter."""
    with Converter(limits) as converter:
        return converter.convert(read_file(content, converter.limits) if isinstance(content, Path) else content, name)


def read_file(path: Path, limits: Limits) -> bytes:
    """Return a regular file's bytes; one that is too large is refused by its size, before a byte is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise refusals.unreadable("it is no regular file")
            if facts.st_size > limits.max_bytes:
                raise refusals.too_many_bytes(facts.st_size, limits.max_bytes)
            content = file.read(limits.max_bytes + 1)
    except OSError as exc:
        raise refusals.unreadable(exc.strerror or type(exc).__name__) from exc
    if len(content) > limits.max_bytes:
        raise refusals.too_many_bytes(len(content), limits.max_bytes)
    return content


class _Process:
    """One converting process and the clock over it."""

    def __init__(self, kind: str, limits: Limits, embedder: Path | None) -> None:
        self._limits = limits
        self._is_late = False
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-convert-")
        self._child = subprocess.Popen(  # noqa: S603  (our own interpreter; the untrusted bytes are data on its stdin)
            [
                sys.executable,
                *_MODULE,
                kind,
                str(limits.memory_bytes),
                *([] if embedder is None else [str(embedder.resolve())]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1") | _ALONE,
            start_new_session=True,
        )
        self._stdin = cast("BinaryIO", self._child.stdin)  # both are pipes
        self._stdout = cast("BinaryIO", self._child.stdout)
        with self._clock(_START_S):
            word = self._hear(len(READY))
        if word != READY:
            self.end()
            raise SetupError(
                "the converting process did not start; run: python -m headrace.retrieval.ingest.child plain 0"
            )

    def ask(self, task: frames.Task, content: bytes) -> frames.Reply | None:
        """Return the reply, None where the process ended without one."""
        with self._clock(task.limits.seconds):
            try:
                frames.write_frame(self._stdin, msgspec.msgpack.encode(task))
                frames.write_frame(self._stdin, content)
            except OSError:
                return None
            reply = self._hear(task.limits.max_chars * _MOST_BYTES_PER_CHARACTER + _FRAME_ROOM)
        try:
            return msgspec.msgpack.decode(reply, type=frames.Done | frames.Refused)
        except msgspec.DecodeError:
            return None

    def verdict(self) -> InvalidRequest:
        """Say why there was no reply."""
        if self._is_late or self._child.returncode == -signal.SIGXCPU:
            return refusals.timed_out(self._limits.seconds)
        return refusals.invalid("ended the process that converts it")

    def kill(self) -> None:
        """End the process at once, from any thread."""
        self._child.kill()

    def end(self) -> None:
        """End the process and give back what it held."""
        self._child.kill()
        with contextlib.suppress(OSError):
            self._child.communicate()
        self._folder.cleanup()

    def _hear(self, most: int) -> bytes:
        try:
            return frames.read_frame(self._stdout, most)
        except frames.FrameError:
            return b""

    @contextlib.contextmanager
    def _clock(self, seconds: float) -> Iterator[None]:
        """Kill the process when time is up, which ends every wait for it."""
        timer = threading.Timer(seconds, self._expire)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._is_late = True
        self._child.kill()
