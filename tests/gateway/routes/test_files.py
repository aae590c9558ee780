"""Files through the official client, and uploads as they should not be."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from yarl import URL

from headrace.gateway.routes.files import MAX_UPLOADS
from tests.support.gateway import Running, until
from tests.support.stores import serving

LIMIT = 100_000


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path, retrieval=f"{{max_file_bytes: {LIMIT}, max_tenant_bytes: 1000000}}") as (gateway, _):
        yield gateway


def left(gateway: Running) -> list[Path]:
    """Return what lies in the folders of bytes."""
    folder = gateway.settings.retrieval.folder
    return [path for name in ("incoming", "files") if (folder / name).is_dir() for path in (folder / name).iterdir()]


def form(content: Any = b"hello", filename: str = "a.txt", **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData({"purpose": "assistants"} | fields)
    data.add_field("file", content, filename=filename)
    return data


async def upload(gateway: Running, data: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    async with gateway.http.post(f"{gateway.url}/v1/files", data=data, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_the_official_client_uploads_lists_reads_and_deletes(gateway: Running) -> None:
    client = gateway.client()
    content = bytes(range(256)) * 300
    made = await client.files.create(
        file=("../dir/notes.bin", content),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (made.filename, made.bytes, made.purpose, made.object) == ("notes.bin", len(content), "user_data", "file")
    assert made.expires_at == made.created_at + 3600
    assert await client.files.retrieve(made.id) == made
    assert (await client.files.content(made.id)).content == content
    assert [file.id async for file in client.files.list(purpose="user_data")] == [made.id]
    assert [file.id async for file in client.files.list(purpose="assistants")] == []
    assert (gateway.settings.retrieval.folder / "files" / hashlib.sha256(content).hexdigest()).exists()
    assert (await client.files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made.id)
    assert left(gateway) == []


async def test_the_official_client_pages_while_it_deletes(gateway: Running) -> None:
    client = gateway.client()
    made = [(await client.files.create(file=(f"{n}.txt", b"x"), purpose="assistants")).id for n in range(5)]
    seen = []
    async for file in client.files.list(limit=2, order="asc"):
        seen.append(file.id)
        await client.files.delete(file.id)
    assert seen == made
    assert [file.id async for file in client.files.list()] == []


async def test_a_download_is_an_attachment_that_nothing_runs(gateway: Running) -> None:
    _, made = await upload(gateway, form(b"<script>alert(1)</script>", 'x".html'))
    async with gateway.http.get(f"{gateway.url}/v1/files/{made['id']}/content") as answer:
        assert await answer.read() == b"<script>alert(1)</script>"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (lambda: form(b""), "file"),
        (lambda: form(purpose="fine-tune"), "purpose"),
        (lambda: form(**{"expires_after[anchor]": "created_at", "expires_after[seconds]": "1"}), "expires_after"),
        (lambda: form(owner="b"), "owner"),
        (lambda: aiohttp.FormData({"purpose": "assistants", "file": "text"}), None),
    ],
)
async def test_a_wrong_upload_is_400_in_openais_shape_and_leaves_nothing(
    gateway: Running, data: Any, param: str | None
) -> None:
    status, body = await upload(gateway, data())
    assert status == 400
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["param"] == param
    assert left(gateway) == []
    assert await gateway.is_healthy()


async def endless(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 10_000):
        yield b"x" * 10_000


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_file_over_the_limit_is_413_with_and_without_a_length(gateway: Running, *, has_length: bool) -> None:
    content: Any = b"x" * (LIMIT + 1) if has_length else endless(LIMIT + 10_000)
    status, body = await upload(gateway, form(content))
    assert (status, body["error"]["code"]) == (413, "file_too_large")
    assert left(gateway) == []
    status, body = await upload(gateway, form(b"x" * LIMIT))
    assert status == 200
    assert await gateway.is_healthy()


async def test_a_body_far_over_the_limit_is_refused_by_its_length_alone(gateway: Running) -> None:
    async with gateway.dial() as (reader, writer):
        head = b"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary=x\r\n"
        writer.write(head + b"content-length: 99999999999\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")


async def test_a_form_of_many_parts_is_400(gateway: Running) -> None:
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n\r\n' % number for number in range(1_500)
    )
    status, body = await upload(gateway, parts + b"--x--\r\n", **{"content-type": "multipart/form-data; boundary=x"})
    assert (status, "16 parts" in body["error"]["message"]) == (400, True)


WRONG = [
    ("/v1/files/file-" + "0" * 32, "GET", 404),
    ("/v1/files/..%2F..%2Flibrary.sqlite/content", "GET", 404),
    ("/v1/files/%2e%2e", "GET", 404),
    ("/v1/files/file-1'%20OR%20'1'='1", "DELETE", 404),
    ("/v1/files/", "GET", 404),
    ("/v1/files", "PUT", 405),
    ("/v1/files?limit=0", "GET", 400),
    ("/v1/files?purpose=all", "GET", 400),
    ("/v1/files?after=file-nobody", "GET", 400),
    ("/v1/files?before=x", "GET", 400),
]


async def test_what_is_not_there_is_told_so(gateway: Running) -> None:
    for path, method, expected in WRONG:
        async with gateway.http.request(method, URL(gateway.url + path, encoded=True)) as answer:
            assert answer.status == expected, (method, path)
            assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}


async def test_a_tenant_has_so_many_uploads_at_once(gateway: Running) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MAX_UPLOADS):
            _, writer = await stack.enter_async_context(gateway.dial())
            head = b"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary=x\r\n"
            writer.write(head + b"content-length: 50000\r\n\r\n--x\r\n")
            await writer.drain()
        await until(lambda: len(left(gateway)) == MAX_UPLOADS)
        status, body = await upload(gateway, form())
        assert (status, body["error"]["type"]) == (503, "overloaded_error")
    await until(lambda: left(gateway) == [])
    assert (await upload(gateway, form()))[0] == 200


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(gateway: Running) -> None:
    async with gateway.dial() as (_, writer):
        head = b"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: multipart/form-data; boundary=x\r\n"
        start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 5_000
        writer.write(head + b"content-length: 50000\r\n\r\n" + start)
        await writer.drain()
        await until(lambda: len(left(gateway)) == 1)
    await until(lambda: left(gateway) == [])
    assert await gateway.is_healthy()


async def test_uploads_of_the_same_bytes_at_once_are_files_of_their_own(gateway: Running) -> None:
    answers = await asyncio.gather(*(upload(gateway, form(b"same" * 1_000, f"{n}.txt")) for n in range(8)))
    assert [status for status, _ in answers] == [200] * 8
    assert len({body["id"] for _, body in answers}) == 8
    assert len(left(gateway)) == 1


async def test_a_tenants_room_is_bounded(gateway: Running) -> None:
    for _ in range(10):
        assert (await upload(gateway, form(b"x" * LIMIT)))[0] == 200
    status, body = await upload(gateway, form(b"y"))
    assert (status, body["error"]["code"]) == (413, "storage_quota_exceeded")


async def test_files_are_served_without_an_embedder_and_stores_say_which_key_to_set(tmp_path: Path) -> None:
    async with serving(tmp_path, has_embedder=False) as (gateway, _):
        client = gateway.client()
        made = await client.files.create(file=("a.txt", b"a"), purpose="assistants")
        for path in ("/v1/vector_stores", "/v1/vector_stores/vs_1/search"):
            status, body, _ = await gateway.post(path, {})
            assert (status, body["error"]["code"]) == (400, "embeddings_not_configured")
            assert "embeddings: {model: all-minilm-l6-v2}" in body["error"]["message"]
        assert (await client.files.delete(made.id)).deleted
