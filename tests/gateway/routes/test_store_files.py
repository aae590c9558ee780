"""Files in vector stores and their batches through the official client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.gateway import Running, until
from tests.support.stores import CATS, DOGS, TAXES, TinyEmbedder, serving


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Running, TinyEmbedder]]:
    async with serving(tmp_path, retrieval="{max_store_files: 4}") as served:
        yield served


@pytest.fixture
def gateway(served: tuple[Running, TinyEmbedder]) -> Running:
    return served[0]


async def upload(client: openai.AsyncOpenAI, *contents: str | bytes) -> list[str]:
    made = []
    for number, content in enumerate(contents):
        data = content if isinstance(content, bytes) else content.encode()
        made.append((await client.files.create(file=(f"{number}.txt", data), purpose="assistants")).id)
    return made


async def test_a_file_is_put_in_followed_described_read_and_taken_out(gateway: Running) -> None:
    client = gateway.client()
    (file,) = await upload(client, CATS)
    store = (await client.vector_stores.create()).id
    files = client.vector_stores.files
    static: Any = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
    made = await files.create(store, file_id=file, attributes={"team": "x", "n": 2}, chunking_strategy=static)
    assert (made.status, made.last_error, made.chunking_strategy is not None) == ("in_progress", None, True)
    done = await files.poll(file, vector_store_id=store, poll_interval_ms=50)
    assert (done.status, done.attributes, done.usage_bytes > 0) == ("completed", {"team": "x", "n": 2}, True)
    assert [part.text async for part in await _content(client, store, file)] == [CATS]
    changed = await files.update(file, vector_store_id=store, attributes={"team": "y"})
    assert changed.attributes == {"team": "y"}
    team: Any = {"type": "eq", "key": "team", "value": "y"}
    assert len((await client.vector_stores.search(store, query="cat", filters=team)).data) == 1
    assert (await files.delete(file, vector_store_id=store)).deleted
    assert (await client.vector_stores.search(store, query="cat")).data == []
    assert (await client.files.retrieve(file)).id == file
    with pytest.raises(openai.NotFoundError):
        await files.retrieve(file, vector_store_id=store)


async def _content(client: openai.AsyncOpenAI, store: str, file: str) -> Any:
    return await client.vector_stores.files.content(file, vector_store_id=store)


async def test_a_batch_tells_of_each_file_and_one_that_fails_stops_none(gateway: Running) -> None:
    client = gateway.client()
    store = (await client.vector_stores.create()).id
    contents = [("a.txt", CATS.encode()), ("b.bin", b"\x00\x01\xfe" * 99), ("c.txt", DOGS.encode())]
    batch = await client.vector_stores.file_batches.upload_and_poll(store, files=contents, poll_interval_ms=50)
    counts = batch.file_counts
    assert (batch.status, counts.completed, counts.failed, counts.total) == ("completed", 2, 1, 3)
    (failed,) = [
        file
        async for file in client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store, filter="failed")
    ]
    assert failed.last_error is not None
    assert failed.last_error.code == "unsupported_file"
    assert failed.last_error.message.startswith("the file is binary")
    with pytest.raises(openai.BadRequestError, match="not ingested"):
        await client.vector_stores.files.content(failed.id, vector_store_id=store)
    done = [file.id async for file in client.vector_stores.files.list(store, filter="completed", limit=1)]
    assert len(done) == 2


async def test_each_file_of_a_batch_may_have_its_own_attributes(gateway: Running) -> None:
    client = gateway.client()
    one, other = await upload(client, CATS, DOGS)
    store = (await client.vector_stores.create()).id
    batch = await client.vector_stores.file_batches.create_and_poll(
        store, files=[{"file_id": one, "attributes": {"a": 1}}, {"file_id": other}], poll_interval_ms=50
    )
    listed = {file.id: file.attributes async for file in client.vector_stores.files.list(store)}
    assert (batch.file_counts.completed, listed) == (2, {one: {"a": 1}, other: {}})


async def test_a_cancelled_batch_ends_what_waits(served: tuple[Running, TinyEmbedder]) -> None:
    gateway, embedder = served
    client = gateway.client()
    files = await upload(client, CATS, DOGS, TAXES)
    store = (await client.vector_stores.create()).id
    embedder.gate.clear()
    batch = await client.vector_stores.file_batches.create(store, file_ids=files)
    cancelled = await client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store)
    embedder.gate.set()
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 3)
    again = await client.vector_stores.files.create_and_poll(files[0], vector_store_id=store, poll_interval_ms=50)
    assert again.status == "completed"
    assert len((await client.vector_stores.search(store, query="dog cat law")).data) == 1


async def test_a_file_deleted_while_it_is_ingested_is_nowhere(served: tuple[Running, TinyEmbedder]) -> None:
    gateway, embedder = served
    client = gateway.client()
    (file,) = await upload(client, CATS)
    embedder.gate.clear()
    store = (await client.vector_stores.create(file_ids=[file])).id
    service = gateway.system._library._stores
    assert service is not None
    await until(lambda: service.intake.running == 1)
    deleting = asyncio.ensure_future(client.files.delete(file))
    await deleting
    embedder.gate.set()
    await until(lambda: service.intake.running == 0)
    assert (await client.vector_stores.search(store, query="cat")).data == []
    assert (await client.vector_stores.retrieve(store)).file_counts.total == 0
    assert [each.id async for each in client.vector_stores.files.list(store)] == []


async def test_a_store_holds_so_many_files(gateway: Running) -> None:
    client = gateway.client()
    files = await upload(client, *(f"cat {n}" for n in range(5)))
    store = (await client.vector_stores.create()).id
    with pytest.raises(openai.BadRequestError, match="may hold 4"):
        await client.vector_stores.file_batches.create(store, file_ids=files)
    assert (await client.vector_stores.retrieve(store)).file_counts.total == 0


WRONG: list[tuple[str, str, object, int]] = [
    ("POST", "files", {}, 400),
    ("POST", "files", {"file_id": "file-nobody"}, 404),
    ("POST", "files", {"file_id": "file-nobody", "attributes": {"a": None}}, 400),
    ("GET", "files?filter=done", None, 400),
    ("GET", "files?after=file-nobody", None, 400),
    ("GET", "files/file-nobody", None, 404),
    ("GET", "files/file-nobody/content", None, 404),
    ("POST", "files/file-nobody", {"attributes": {"a": 1}}, 404),
    ("POST", "files/file-nobody", {}, 400),
    ("DELETE", "files/file-nobody", None, 404),
    ("POST", "file_batches", {}, 400),
    ("POST", "file_batches", {"file_ids": ["file-nobody"]}, 404),
    ("GET", "file_batches", None, 405),
    ("GET", "file_batches/vsfb_nobody", None, 404),
    ("GET", "file_batches/vsfb_nobody/files", None, 404),
    ("POST", "file_batches/vsfb_nobody/cancel", None, 404),
]


async def test_what_is_wrong_is_told_in_openais_shape(gateway: Running) -> None:
    store = (await gateway.client().vector_stores.create()).id
    for method, path, body, expected in WRONG:
        url = f"{gateway.url}/v1/vector_stores/{store}/{path}"
        async with gateway.http.request(method, url, json=body) as answer:
            assert answer.status == expected, (method, path)
            assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}
