import json
from typing import Any

import msgspec
import pytest
from openai.types import VectorStore, VectorStoreSearchResponse
from openai.types.vector_stores import VectorStoreFile, VectorStoreFileBatch

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Compare, Hit, Passage, Query
from headrace.gateway import strict
from headrace.gateway.codecs import vector_stores as codec
from headrace.retrieval.library.records import (
    AUTO,
    BatchRecord,
    Chunking,
    Counts,
    LastError,
    MemberRecord,
    NewMember,
    StoreRecord,
)
from headrace.retrieval.library.stores import Changes

STATIC = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}


def decode(decoder: msgspec.json.Decoder[Any], body: Any) -> Any:
    return strict.decode(json.dumps(body).encode(), decoder, max_depth=64)


def test_a_file_is_cut_as_it_says_or_as_suits_the_embedder() -> None:
    def member(**more: Any) -> NewMember:
        return codec.read_member(decode(codec.ADD_FILE, {"file_id": "file-1", **more}))

    assert member(attributes={"a": 1, "b": True, "c": "x"}) == NewMember("file-1", {"a": 1, "b": True, "c": "x"}, AUTO)
    assert member(chunking_strategy={"type": "auto"}).chunking == AUTO
    assert member(chunking_strategy=STATIC).chunking == Chunking(800, 400)


def test_a_batch_is_files_alike_or_each_as_it_says() -> None:
    alike = {"file_ids": ["f1", "f2", "f1"], "attributes": {"a": 1}, "chunking_strategy": STATIC}
    assert codec.read_batch(decode(codec.ADD_BATCH, alike)) == [
        NewMember(file, {"a": 1}, Chunking(800, 400)) for file in ("f1", "f2")
    ]
    each = {"files": [{"file_id": "f1", "attributes": {"a": 1}}, {"file_id": "f2", "chunking_strategy": STATIC}]}
    assert codec.read_batch(decode(codec.ADD_BATCH, each)) == [
        NewMember("f1", {"a": 1}), NewMember("f2", {}, Chunking(800, 400))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "file_ids"),
        ({"file_ids": ["a"], "files": [{"file_id": "a"}]}, "file_ids"),
        ({"file_ids": []}, "file_ids"),
        ({"file_ids": ["a"] * 2001}, "file_ids"),
        ({"file_ids": [""]}, "file_ids[0]"),
        ({"file_ids": ["a"], "attributes": {"k": None}}, "attributes.k"),
        ({"file_ids": ["a"], "attributes": {"k": [1]}}, "attributes.k"),
        ({"file_ids": ["a"], "attributes": {"k": "x" * 513}}, "attributes.k"),
        ({"file_ids": ["a"], "attributes": {str(n): 1 for n in range(17)}}, "attributes"),
        ({"files": [{"file_id": "a", "attributes": {"k": {}}}]}, "files[0].attributes.k"),
        ({"files": [{"file_id": "a", "chunking_strategy": {"type": "no"}}]}, "files[0].chunking_strategy.type"),
        (
            {
                "file_ids": ["a"],
                "chunking_strategy": {
                    "type": "static",
                    "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51},
                },
            },
            "chunking_strategy.static.chunk_overlap_tokens",
        ),
        (
            {
                "file_ids": ["a"],
                "chunking_strategy": {
                    "type": "static",
                    "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0},
                },
            },
            "chunking_strategy.static.max_chunk_size_tokens",
        ),
        ({"file_ids": ["a"], "url": "http://10.0.0.1"}, "url"),
    ],
)
def test_what_a_batch_cannot_be_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        codec.read_batch(decode(codec.ADD_BATCH, body))
    assert refused.value.param == param


def test_an_update_tells_absent_from_null() -> None:
    assert codec.read_changes(decode(codec.UPDATE_STORE, {})) == Changes()
    assert codec.read_changes(decode(codec.UPDATE_STORE, {"name": None})) == Changes(name="")
    asked = {"metadata": {"a": "b"}, "expires_after": {"anchor": "last_active_at", "days": 3}}
    assert codec.read_changes(decode(codec.UPDATE_STORE, asked)) == Changes(metadata={"a": "b"}, expire_days=3)
    assert codec.read_changes(decode(codec.UPDATE_STORE, {"expires_after": None})) == Changes(expire_days=None)


@pytest.mark.parametrize(
    "body",
    [
        {"expires_after": {"anchor": "created_at", "days": 3}},
        {"expires_after": {"anchor": "last_active_at", "days": 0}},
        {"expires_after": {"anchor": "last_active_at", "days": 366}},
        {"name": "x" * 257},
        {"metadata": {"a": 1}},
        {"metadata": {"a" * 65: "b"}},
        {"tenant": "b"},
    ],
)
def test_what_a_store_cannot_be_is_refused(body: dict[str, Any]) -> None:
    for decoder in (codec.CREATE_STORE, codec.UPDATE_STORE):
        with pytest.raises(InvalidRequest):
            decode(decoder, body)


def search(**body: Any) -> list[Query]:
    return codec.read_search(json.dumps(body).encode(), max_depth=64)


def test_a_search_is_one_query_a_text() -> None:
    assert search(query="cat") == [Query("cat", 10)]
    options = {"ranker": "none", "score_threshold": 0.5}
    where = {"type": "eq", "key": "a", "value": 1}
    asked = search(query=["cat", "dog", "cat"], max_num_results=50, ranking_options=options, filters=where)
    assert asked == [Query(text, 50, Compare("a", "eq", 1), 0.5, rerank=False) for text in ("cat", "dog")]
    assert search(query="cat", rewrite_query=True, ranking_options={"ranker": "auto"})[0].rerank is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": []}, "query"),
        ({"query": ["a"] * 9}, "query"),
        ({"query": "a" * 10_001}, "query"),
        ({"query": "a", "max_num_results": 0}, "max_num_results"),
        ({"query": "a", "max_num_results": 51}, "max_num_results"),
        ({"query": "a", "ranking_options": {"score_threshold": 1.5}}, "ranking_options.score_threshold"),
        ({"query": "a", "ranking_options": {"ranker": "mine"}}, "ranking_options.ranker"),
        ({"query": "a", "filters": {"type": "eq", "key": "a"}}, "filters.value"),
        ({"query": "a", "tenant": "b"}, "tenant"),
    ],
)
def test_what_cannot_be_searched_for_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        search(**body)
    assert refused.value.param == param


def test_everything_is_shown_as_the_official_client_reads_it() -> None:
    counts = Counts(1, 2, 3, 4)
    store = StoreRecord("vs_1", "a", "zoo", "", {"k": "v"}, 100, 200, 7, counts, 9)
    shown = VectorStore.model_validate(codec.render_store(store, now=300.0), strict=True)
    assert shown.file_counts.total == 10
    assert (shown.status, shown.expires_at, shown.usage_bytes) == ("in_progress", 200 + 7 * 86_400, 9)
    assert codec.render_store(store, now=1e10)["status"] == "expired"
    error = LastError("invalid_file", "the file is broken")
    member = MemberRecord("vs_1", "file-1", None, "failed", error, {"a": 1.5}, Chunking(), 9, 100)
    of_store = VectorStoreFile.model_validate(codec.render_member(member), strict=True)
    assert of_store.last_error is not None
    assert (of_store.last_error.code, of_store.vector_store_id) == ("invalid_file", "vs_1")
    batch = BatchRecord("vsfb_1", "vs_1", 100, is_cancelled=False, counts=counts)
    assert VectorStoreFileBatch.model_validate(codec.render_batch(batch), strict=True).status == "in_progress"


def test_hits_are_shown_as_openais_search_results() -> None:
    hit = Hit(Passage(1, "file-1", "a.txt", "the text", 0, 8, 2, attributes={"a": 1.0}), 0.5)
    page = codec.render_hits([Query("q")], [hit])
    assert (page["object"], page["search_query"]) == ("vector_store.search_results.page", ["q"])
    (shown,) = (VectorStoreSearchResponse.model_validate(item, strict=True) for item in page["data"])
    assert (shown.file_id, shown.filename, shown.score, shown.content[0].text) == ("file-1", "a.txt", 0.5, "the text")
