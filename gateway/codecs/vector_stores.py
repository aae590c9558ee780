"""Vector stores: request bodies with their bounds to what the library is asked, and its records back. Pure."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.contracts.chat import JsonObject
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Attributes, Hit, Query
from headrace.gateway import strict
from headrace.gateway.codecs.fields import Metadata
from headrace.gateway.codecs.filters import read_filter, read_scalar
from headrace.retrieval.library.records import (
    AUTO,
    BatchRecord,
    Chunking,
    Counts,
    MemberRecord,
    NewMember,
    StoreRecord,
)
from headrace.retrieval.library.stores import Changes

MAX_FILES: Final = 2_000
MAX_QUERIES: Final = 8
MAX_QUERY: Final = 10_000
MAX_RESULTS: Final = 50

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Ids = Annotated[list[Id], Meta(min_length=1, max_length=MAX_FILES)]
Name = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_QUERY)]
RawAttributes = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=64)], Any], Meta(max_length=16)]


class ExpiresAfter(msgspec.Struct, forbid_unknown_fields=True):
    """When a store that nobody uses is gone."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class StaticSizes(msgspec.Struct, forbid_unknown_fields=True):
    """How a file is cut, in tokens."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0, le=2048)]


class StaticStrategy(msgspec.Struct, forbid_unknown_fields=True, tag="static", tag_field="type"):
    """Sizes of the client's choice."""

    static: StaticSizes


class AutoStrategy(msgspec.Struct, forbid_unknown_fields=True, tag="auto", tag_field="type"):
    """Sizes that suit the embedder."""


Strategy = AutoStrategy | StaticStrategy


class CreateStore(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores`."""

    name: Name | None = None
    description: Annotated[str, Meta(max_length=512)] | None = None
    file_ids: Annotated[list[Id], Meta(max_length=MAX_FILES)] | None = None
    chunking_strategy: Strategy | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class UpdateStore(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores/{id}`; null takes a thing away."""

    name: Name | UnsetType | None = UNSET
    expires_after: ExpiresAfter | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class AddFile(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores/{id}/files`, and one file of a batch."""

    file_id: Id
    attributes: RawAttributes | None = None
    chunking_strategy: Strategy | None = None


class AddBatch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores/{id}/file_batches`."""

    file_ids: Ids | None = None
    files: Annotated[list[AddFile], Meta(min_length=1, max_length=MAX_FILES)] | None = None
    attributes: RawAttributes | None = None
    chunking_strategy: Strategy | None = None


class UpdateFile(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores/{id}/files/{id}`."""

    attributes: RawAttributes | None


class RankingOptions(msgspec.Struct, forbid_unknown_fields=True):
    """How hits are ordered, and how good the last one must be."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/vector_stores/{id}/search`."""

    query: Text | Annotated[list[Text], Meta(min_length=1, max_length=MAX_QUERIES)]
    filters: Any = None
    max_num_results: Annotated[int, Meta(ge=1, le=MAX_RESULTS)] | None = None
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None


CREATE_STORE: Final = msgspec.json.Decoder(CreateStore)
UPDATE_STORE: Final = msgspec.json.Decoder(UpdateStore)
ADD_FILE: Final = msgspec.json.Decoder(AddFile)
ADD_BATCH: Final = msgspec.json.Decoder(AddBatch)
UPDATE_FILE: Final = msgspec.json.Decoder(UpdateFile)
SEARCH: Final = msgspec.json.Decoder(Search)


def read_changes(asked: UpdateStore) -> Changes:
    """Return what an update changes."""
    expiry = asked.expires_after
    return Changes(
        name=asked.name or "" if asked.name is not UNSET else UNSET,
        metadata=asked.metadata or {} if asked.metadata is not UNSET else UNSET,
        expire_days=UNSET if expiry is UNSET else None if expiry is None else expiry.days,
    )


def read_members(
    file_ids: Sequence[str], strategy: Strategy | None, attributes: Attributes | None = None
) -> list[NewMember]:
    """Return files that are put into a store alike, each once."""
    chunking = read_chunking(strategy)
    return [NewMember(file, attributes or {}, chunking) for file in dict.fromkeys(file_ids)]


def read_member(asked: AddFile, *, at: str = "") -> NewMember:
    """Return one file that is put into a store."""
    attributes = read_attributes(asked.attributes, at=f"{at}attributes")
    return NewMember(asked.file_id, attributes, read_chunking(asked.chunking_strategy, at=at))


def read_batch(asked: AddBatch) -> list[NewMember]:
    """Return the files of a batch: some alike, or each as it says."""
    if (asked.file_ids is None) == (asked.files is None):
        raise InvalidRequest("send either 'file_ids' or 'files'", param="file_ids", code="invalid_value")
    if asked.file_ids is not None:
        attributes = read_attributes(asked.attributes, at="attributes")
        return read_members(asked.file_ids, asked.chunking_strategy, attributes)
    each = {file.file_id: read_member(file, at=f"files[{index}].") for index, file in enumerate(asked.files or ())}
    return list(each.values())


def read_attributes(raw: Mapping[str, Any] | None, *, at: str) -> Attributes:
    """Return a file's attributes: short texts, numbers, true and false."""
    return {key: read_scalar(value, at=f"{at}.{key}") for key, value in (raw or {}).items()}


def read_chunking(strategy: Strategy | None, *, at: str = "") -> Chunking:
    """Return how a file is cut; the overlap is half a passage at most."""
    if not isinstance(strategy, StaticStrategy):
        return AUTO
    sizes = strategy.static
    if sizes.chunk_overlap_tokens * 2 > sizes.max_chunk_size_tokens:
        name = f"{at}chunking_strategy.static.chunk_overlap_tokens"
        most = sizes.max_chunk_size_tokens // 2
        raise InvalidRequest(
            f"invalid '{name}': expected at most {most}, half a chunk", param=name, code="invalid_value"
        )
    return Chunking(sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens)


def read_search(body: bytes, *, max_depth: int) -> list[Query]:
    """Return what is looked for: one query a text."""
    asked = strict.decode(body, SEARCH, max_depth=max_depth)
    ranking = asked.ranking_options or RankingOptions()
    where = None if asked.filters is None else read_filter(asked.filters)
    texts = [asked.query] if isinstance(asked.query, str) else asked.query
    return [
        Query(
            text=text,
            k=asked.max_num_results or 10,
            where=where,
            min_score=ranking.score_threshold or 0.0,
            rerank=False if ranking.ranker == "none" else None,
        )
        for text in dict.fromkeys(texts)
    ]


def render_store(record: StoreRecord, *, now: float) -> JsonObject:
    """Return OpenAI's vector store object."""
    days = record.expire_days
    status = "expired" if record.is_expired(now) else "in_progress" if record.counts.in_progress else "completed"
    return {
        "id": record.id,
        "object": "vector_store",
        "created_at": record.created,
        "name": record.name,
        "description": record.description or None,
        "usage_bytes": record.bytes,
        "file_counts": _counts(record.counts),
        "status": status,
        "expires_after": None if days is None else {"anchor": "last_active_at", "days": days},
        "expires_at": record.expires,
        "last_active_at": record.last_active,
        "metadata": record.metadata,
    }


def render_member(record: MemberRecord) -> JsonObject:
    """Return OpenAI's object of a file in a vector store."""
    sizes = record.chunking
    error = record.error
    return {
        "id": record.file,
        "object": "vector_store.file",
        "created_at": record.created,
        "vector_store_id": record.store,
        "usage_bytes": record.bytes,
        "status": record.status,
        "last_error": None if error is None else {"code": error.code, "message": error.message},
        "chunking_strategy": {
            "type": "static",
            "static": {"max_chunk_size_tokens": sizes.max_tokens, "chunk_overlap_tokens": sizes.overlap},
        },
        "attributes": record.attributes,
    }


def render_batch(record: BatchRecord) -> JsonObject:
    """Return OpenAI's object of a batch."""
    return {
        "id": record.id,
        "object": "vector_store.files_batch",
        "created_at": record.created,
        "vector_store_id": record.store,
        "status": record.status,
        "file_counts": _counts(record.counts),
    }


def render_hits(queries: Sequence[Query], hits: Sequence[Hit]) -> JsonObject:
    """Return OpenAI's page of search results."""
    return {
        "object": "vector_store.search_results.page",
        "search_query": [query.text for query in queries],
        "data": [
            {
                "file_id": hit.passage.document,
                "filename": hit.passage.name,
                "score": round(hit.score, 6),
                "attributes": hit.passage.attributes,
                "content": [{"type": "text", "text": hit.passage.text}],
            }
            for hit in hits
        ],
        "has_more": False,
        "next_page": None,
    }


def _counts(counts: Counts) -> JsonObject:
    return {
        "in_progress": counts.in_progress,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "total": counts.total,
    }
