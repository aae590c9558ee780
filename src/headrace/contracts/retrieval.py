"""Documents, passages and searches: what ingest makes, an index keeps and an answer cites. Pure values and seams.

All are msgspec Structs, made per document or per request. Times are seconds since 1970, offsets count characters of the
converted text, vectors are little-endian float32 of length one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

Scalar = str | float | bool
Attributes = Mapping[str, Scalar]
Form = Literal["text", "markdown", "records", "code"]
CompareOp = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
SearchMode = Literal["hybrid", "lexical", "dense"]


class Compare(msgspec.Struct, frozen=True, tag_field="kind", tag="compare"):
    """One attribute against a value; a document without the attribute passes only `ne` and `nin`."""

    key: str
    op: CompareOp
    value: Scalar | tuple[Scalar, ...]


class Compound(msgspec.Struct, frozen=True, tag_field="kind", tag="compound"):
    """All of the filters (`and`) or at least one (`or`)."""

    op: Literal["and", "or"]
    filters: tuple["Filter", ...]


Filter = Compare | Compound


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a document: text[start:end] of the converted document; page from 1, None where there are none.

    heading: the headings it stands under, outermost first, joined by " > ". tokens: by the embedder's tokenizer.
    """

    text: str
    start: int
    end: int
    tokens: int
    heading: str = ""
    page: int | None = None


class Converted(msgspec.Struct, frozen=True):
    """A file as text: what chunks are cut from, and their offsets count in.

    form: how the text is built (records: one a line). pages: where each page begins in text, if there are any.
    """

    name: str
    sha256: str
    text: str
    form: Form = "text"
    pages: tuple[int, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """One converted file. id: the file's. sha256: of the bytes it was converted from. text: all of it."""

    id: str
    name: str
    sha256: str
    text: str
    chunks: tuple[Chunk, ...]
    attributes: Attributes = {}


class DocumentInfo(msgspec.Struct, frozen=True):
    """What an index tells of a document it holds. bytes: of text and vectors."""

    id: str
    name: str
    sha256: str
    chunks: int
    bytes: int
    added: float
    attributes: Attributes = {}


class Passage(msgspec.Struct, frozen=True):
    """A chunk with where it came from: what a citation points at."""

    id: int
    document: str
    name: str
    text: str
    start: int
    end: int
    tokens: int
    heading: str = ""
    page: int | None = None
    attributes: Attributes = {}


class Hit(msgspec.Struct, frozen=True):
    """A passage with its score, 0..1, higher is better; stages: score by stage (lexical, dense, hybrid, rerank)."""

    passage: Passage
    score: float
    stages: Mapping[str, float] = {}


class Query(msgspec.Struct, frozen=True):
    """What to look for. min_score: hits under it are left out. rerank: None leaves it to the collection's setting.

    mode: by words, by vectors, or by both; by words alone nothing is embedded, so it is cheap.
    """

    text: str
    k: int = 10
    where: Filter | None = None
    min_score: float = 0.0
    rerank: bool | None = None
    mode: SearchMode = "hybrid"


class FileSearch(msgspec.Struct, frozen=True):
    """OpenAI's `file_search` as a chat request carries it; None leaves a figure to whoever answers.

    collections: public ids (`vs_...`) of the caller's own. is_forced: search first, whatever a model would have done.
    """

    collections: tuple[str, ...]
    k: int | None = None
    where: Filter | None = None
    min_score: float | None = None
    rerank: bool | None = None
    is_forced: bool = False


class EmbedderId(msgspec.Struct, frozen=True):
    """Which embedder made an index's vectors; an index refuses those of another one."""

    model: str
    sha256: str
    dimensions: int


class Index(Protocol):
    """One collection's passages. Blocking and safe to share between threads; one writer at a time, also of processes.

    A change is all there or not at all, also after kill -9, and is on disk when the call returns. Ids are never used
    again. Scores: lexical BM25 of 0 or more, dense the cosine.
    """

    def put(self, document: Document, vectors: Sequence[bytes]) -> None:
        """Add a document, or replace the one with its id; vectors[i] is chunks[i]'s."""
        ...

    def annotate(self, document: str, attributes: Attributes) -> bool:
        """Change a document's attributes; False where there is no such document."""
        ...

    def remove(self, document: str) -> bool:
        """Remove a document; False where there is none."""
        ...

    def documents(self) -> Iterator[DocumentInfo]:
        """Tell of every document, in the order of their ids."""
        ...

    def text(self, document: str) -> str | None:
        """Return the converted text of a document."""
        ...

    def lexical(self, text: str, k: int, where: Filter | None = None) -> list[tuple[int, float]]:
        """Return (passage id, BM25), best first; any text is a query, none of it is syntax."""
        ...

    def dense(self, vector: bytes, k: int, where: Filter | None = None) -> list[tuple[int, float]]:
        """Return (passage id, cosine), best first."""
        ...

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """Return the passages of these ids, in this order, without those that are gone."""
        ...

    def close(self) -> None:
        """Give everything back; what was put is on disk already."""
        ...


class Retriever(Protocol):
    """Searches collections by their public id (`vs_...`). Safe to share between tasks."""

    async def search(self, tenant: str, collections: Sequence[str], query: Query) -> list[Hit]:
        """Return the best passages of one or more collections; NotFound for one that is not this tenant's."""
        ...
