"""How the command line runs an ingest: sources from what was typed, a bar or one line a document."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headrace.contracts.errors import BackendError, Forbidden, InvalidRequest
from headrace.contracts.retrieval import Attributes, Scalar
from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.ingest import refusals, sources
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.ingest.egress import Allowed
from headrace.retrieval.ingest.embedding import ModelEmbed
from headrace.retrieval.ingest.fetch import fetch
from headrace.retrieval.ingest.job import PATH, SOURCE, Job, Parts, Shelf, Step
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.names import source_label
from headrace.retrieval.ingest.sources import Source

STDIN: Final = "-"
_URLS: Final = ("http://", "https://")
_WORDS: Final[dict[str, Scalar]] = {"true": True, "false": False}


class Failure(msgspec.Struct, frozen=True):
    """A document that did not get in, and why."""

    name: str
    code: str
    reason: str


@dataclass(slots=True)
class Tally:
    """What an ingest has done so far. chunks: in documents that were added or replaced."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failed: list[Failure] = field(default_factory=list)

    def count(self, step: Step) -> None:
        """Take note of a step."""
        if step.outcome == "failed":
            self.failed.append(Failure(step.name, step.code, step.reason))
            return
        setattr(self, step.outcome, getattr(self, step.outcome) + 1)
        if step.outcome in {"added", "replaced"}:
            self.chunks += step.chunks
            self.bytes += step.bytes

    def add(self, other: Self) -> None:
        """Take in what another run has done."""
        for word in ("added", "replaced", "unchanged", "removed", "chunks", "bytes", "seconds"):
            setattr(self, word, getattr(self, word) + getattr(other, word))
        self.failed += other.failed

    def as_object(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built | {"seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class Filling:
    """What an ingest works with. folder: of the embedding model. threads: 0 takes what this process may use."""

    folder: Path
    shelf: Shelf
    sizes: Sizes
    attributes: Attributes
    threads: int

    def run(self, given: Sequence[Source], *, is_quiet: bool) -> Tally:
        """Bring the shelf up to date with the sources."""
        tally, started = Tally(), time.monotonic()
        threads = self.threads or len(os.sched_getaffinity(0))
        embed = ModelEmbed.load(self.folder, threads=threads)
        with Converter(embedder=self.folder) as converter, _showing(given, is_quiet=is_quiet) as tell:

            def note(step: Step) -> None:
                tally.count(step)
                tell(step)

            tokenizer = Tokens.load(self.folder)
            parts = Parts(converter, tokenizer, embed, self.shelf, self.sizes, self.attributes)
            Job(parts, note).run(given)
        tally.seconds = time.monotonic() - started
        return tally


def parse_attributes(given: Sequence[str]) -> dict[str, Scalar]:
    """Return `key=value` options as attributes: numbers and true or false as such, all else as text."""
    attributes: dict[str, Scalar] = {}
    for one in given:
        key, sign, value = one.partition("=")
        if not sign or not key.strip() or key in {PATH, SOURCE}:
            raise InvalidRequest(f"--attribute {one!r}: give key=value, with another key than {PATH} and {SOURCE}")
        attributes[key.strip()] = scalar(value)
    return attributes


def scalar(value: str) -> Scalar:
    """Return what a typed value means."""
    if value in _WORDS:
        return _WORDS[value]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def given_sources(
    paths: Sequence[str], glob: str | None, stdin_name: str, allow_host: Sequence[str], limits: Limits | None = None
) -> list[Source]:
    """Return the sources that were typed; whatever is wrong with them is said before anything is done."""
    limits, allowed = limits or Limits(), Allowed(allow_host)
    for url in paths:
        if url.startswith(_URLS):
            allowed.check_url(url)
    return [_source(path, glob, stdin_name, allowed, limits) for path in paths]


def _source(path: str, glob: str | None, stdin_name: str, allowed: Allowed, limits: Limits) -> Source:
    if path == STDIN:
        return sources.from_stream(sys.stdin.buffer, stdin_name, limits)
    if not path.startswith(_URLS):
        return sources.open_path(path, glob)
    try:
        fetched = asyncio.run(fetch(path, allowed, limits))
    except (BackendError, Forbidden, InvalidRequest) as exc:
        code = exc.code or refusals.unreadable("").code
        return sources.failed(path, source_label(path), InvalidRequest(exc.message, code=code))
    return sources.from_bytes(fetched.content, fetched.name, path)


@contextlib.contextmanager
def _showing(given: Sequence[Source], *, is_quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Give what shows each step: nothing, a bar, or lines."""
    if is_quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("documents", total=sum(len(source.items) for source in given))
            yield lambda step: progress.advance(task, 0 if step.outcome == "removed" else 1)
    else:
        yield _print_step


def _print_step(step: Step) -> None:
    told = step.code if step.outcome == "failed" else f"{step.chunks} passages"
    sys.stdout.write(f"{step.outcome:<10}{step.name}  {told}\n")
    sys.stdout.flush()
