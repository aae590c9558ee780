"""Filling an index from sources: unchanged documents are skipped, changed ones replaced, gone ones removed.

One failure stops nothing. What is done already is known from the index alone, so a killed job is resumed by running it
again. At most one batch of documents is in memory. Blocking; the caller gives it a thread and may stop it from another.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Attributes, Chunk, Converted, DocumentInfo
from headrace.retrieval.chunk.context import in_context
from headrace.retrieval.chunk.sizes import AUTO, Sizes, fit
from headrace.retrieval.chunk.tokens import Tokenizer
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.ingest.sources import Item, Source

Outcome = Literal["added", "replaced", "unchanged", "removed", "failed"]
PATH: Final = "path"  # attribute: the name within the source
SOURCE: Final = "source"  # attribute: the label of the source
_CHUNKS_AT_ONCE: Final = 64
_EMBEDDED_AT_ONCE: Final = 256


class Step(msgspec.Struct, frozen=True):
    """What happened to one document. code and reason: of a failure."""

    name: str
    outcome: Outcome
    chunks: int = 0
    bytes: int = 0
    code: str = ""
    reason: str = ""


class Prepared(msgspec.Struct, frozen=True):
    """A document that is ready to be kept: vectors[i] belongs to chunks[i]. document: the id it must keep."""

    content: bytes
    converted: Converted
    chunks: tuple[Chunk, ...]
    vectors: tuple[bytes, ...]
    attributes: Attributes
    document: str = ""


class Embed(Protocol):
    """Turns texts into vectors; none of them is longer than its window. Blocking."""

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Return the vector of each text."""
        ...


class Shelf(Protocol):
    """Where documents are kept. Each change is all there or not at all, and on disk when the call returns."""

    def documents(self) -> Iterator[DocumentInfo]:
        """Tell of every document."""
        ...

    def keep(self, prepared: Prepared, replaces: Sequence[str]) -> None:
        """Keep a document in place of those with these ids."""
        ...

    def remove(self, document: str) -> None:
        """Remove a document."""
        ...


class Parts(msgspec.Struct, frozen=True):
    """What a job works with. converter, tokenizer, embed: of one embedder."""

    converter: Converter
    tokenizer: Tokenizer
    embed: Embed
    shelf: Shelf
    sizes: Sizes = AUTO
    attributes: Attributes = {}


class _Pending(msgspec.Struct, frozen=True):
    content: bytes
    converted: Converted
    chunks: tuple[Chunk, ...]
    attributes: Attributes
    document: str
    replaces: tuple[str, ...]


class Job:
    """One run over some sources. tell: called with each step, from the thread of `run`."""

    def __init__(self, parts: Parts, tell: Callable[[Step], None]) -> None:
        fit(parts.sizes, parts.tokenizer.window)
        self._parts = parts
        self._tell = tell
        self._stopped = threading.Event()
        self._pending: list[_Pending] = []

    def run(self, sources: Iterable[Source]) -> None:
        """Bring the shelf up to date with the sources."""
        for source in sources:
            known = of_source(self._parts.shelf.documents(), source.label)
            for item in source.items:
                if self._stopped.is_set():
                    return
                self._take(item, source, known.get(item.name, ()))
            self._flush()
            if not self._stopped.is_set():
                self._remove_gone(source, known)

    def stop(self) -> None:
        """End the run after what is in work now; what was kept stays. From any thread."""
        self._stopped.set()
        self._parts.converter.stop()

    def _take(self, item: Item, source: Source, known: Sequence[DocumentInfo]) -> None:
        parts = self._parts
        try:
            content = item.read(parts.converter.limits)
            digest = hashlib.sha256(content).hexdigest()
            if [info.sha256 for info in known] == [digest]:
                self._tell(Step(item.name, "unchanged", known[0].chunks, len(content)))
                return
            converted, chunks = parts.converter.cut(content, item.name, parts.sizes)
        except InvalidRequest as exc:
            if not self._stopped.is_set():
                self._tell(Step(item.name, "failed", code=exc.code or "invalid_file", reason=exc.message))
            return
        origin = {PATH: item.name, SOURCE: source.label}
        attributes = item.attributes if item.document else {**parts.attributes, **origin}
        replaces = tuple(info.id for info in known)
        self._pending.append(_Pending(content, converted, chunks, attributes, item.document, replaces))
        if sum(len(one.chunks) for one in self._pending) >= _CHUNKS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Embed what waits, all of it together, and keep each document."""
        pending, self._pending = self._pending, []
        texts = [text for one in pending for text in in_context(one.chunks, self._parts.tokenizer)]
        embedded: list[bytes] = []
        for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
            if self._stopped.is_set():
                return
            embedded += self._parts.embed.embed(texts[start : start + _EMBEDDED_AT_ONCE])
        vectors = iter(embedded)
        for one in pending:
            own = tuple(next(vectors) for _ in one.chunks)
            self._parts.shelf.keep(
                Prepared(one.content, one.converted, one.chunks, own, one.attributes, one.document), one.replaces
            )
            outcome: Outcome = "replaced" if one.replaces else "added"
            self._tell(Step(one.converted.name, outcome, len(one.chunks), len(one.content)))

    def _remove_gone(self, source: Source, known: Mapping[str, Sequence[DocumentInfo]]) -> None:
        """Remove what this source held before and has no more; what failed today is still there."""
        for info in gone(known, source):
            self._parts.shelf.remove(info.id)
            self._tell(Step(str(info.attributes[PATH]), "removed", info.chunks))


def of_source(documents: Iterable[DocumentInfo], label: str) -> dict[str, list[DocumentInfo]]:
    """Return what a source has brought so far, by name; more than one where a run was killed while replacing."""
    known: dict[str, list[DocumentInfo]] = {}
    for info in documents:
        if info.attributes.get(SOURCE) == label and PATH in info.attributes:
            known.setdefault(str(info.attributes[PATH]), []).append(info)
    return known


def gone(known: Mapping[str, Sequence[DocumentInfo]], source: Source) -> list[DocumentInfo]:
    """Return the documents that the source would hold and does not."""
    names = {item.name for item in source.items}
    unknown = tuple(f"{item.name}/" for item in source.items if item.hides)
    lost = [name for name in known if name not in names and source.holds(name) and not name.startswith(unknown)]
    return [info for name in lost for info in known[name]]
