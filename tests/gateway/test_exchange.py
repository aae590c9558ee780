"""Bodies as they should not be: each gets a typed refusal, memory stays bounded, the server lives."""

import asyncio
import gzip
import json

import pytest

from tests.support.gateway import Running, ask
from tests.support.upstream import Upstream

PATH = "/v1/chat/completions"
LIMIT = 200_000
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


def nested(depth: int) -> bytes:
    return b'{"model":"m","messages":' + b"[" * depth + b"]" * depth + b"}"


def with_field(raw: str) -> bytes:
    return b'{"model":"headrace/auto","messages":[{"role":"user","content":"hi"}],' + raw.encode() + b"}"


BODIES = {
    "empty": b"",
    "truncated": b'{"model":',
    "trailing": b'{"model":"m","messages":[]} x',
    "list": b"[]",
    "string": b'"hi"',
    "null": b"null",
    "deep": nested(100_000 // 2 - 100),
    "deeper than allowed": nested(200),
    "long array": b'{"model":"m","messages":[' + b"1," * 90_000 + b"1]}",
    "repeated key": b'{"model":"headrace/auto","model":"s","messages":[{"role":"user","content":"hi"}]}',
    "repeated key inside": b'{"model":"s","messages":[{"role":"user","content":"a","content":"b"}]}',
    "NaN": with_field('"temperature":NaN'),
    "Infinity": with_field('"temperature":Infinity'),
    "huge integer": with_field('"n":1' + "0" * 400),
    "huge float": with_field('"temperature":1e999'),
    "huge integer unread": with_field('"metadata":{"a":1' + "0" * 5000 + "}"),
    "lone surrogate": b'{"model":"s","messages":[{"role":"user","content":"\\ud800"}]}',
    "invalid UTF-8": b'{"model":"s","messages":[{"role":"user","content":"\xff"}]}',
    "invalid UTF-8 in an unread field": with_field('"cache_salt":"?"').replace(b"?", b"\xff"),
    "byte-order mark": b"\xef\xbb\xbf" + json.dumps(ask()).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_malformed_body_is_400_in_openais_shape(gateway: Running, small: Upstream, body: bytes) -> None:
    async with gateway.http.post(gateway.url + PATH, data=body, headers={"content-type": "application/json"}) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert small.meter.requests == 0
    assert await gateway.is_healthy()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_another_content_type_is_400(gateway: Running, kind: str) -> None:
    async with gateway.http.post(
        gateway.url + PATH, data=json.dumps(ask()).encode(), headers={"content-type": kind}
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "invalid_content_type"


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br", "deflate"])
async def test_a_compressed_body_is_never_inflated(gateway: Running, coding: str) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    headers = {"content-type": "application/json", "content-encoding": coding}
    async with gateway.http.post(gateway.url + PATH, data=bomb, headers=headers) as answer:
        assert answer.status == 415
    assert await gateway.is_healthy()


async def raw(gateway: Running, *pieces: bytes) -> bytes:
    """Send bytes as they are and return the first that come back."""
    async with gateway.dial() as (reader, writer), asyncio.timeout(10):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read(65_536)


async def test_a_declared_length_over_the_limit_is_413_at_once(gateway: Running) -> None:
    answer = await raw(gateway, HEAD + b"content-length: 999999999\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer
    assert await gateway.is_healthy()


async def test_an_endless_chunked_body_is_413_when_it_passes_the_limit(gateway: Running) -> None:
    block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = await raw(gateway, HEAD + b"transfer-encoding: chunked\r\n\r\n", *[block] * 4)
    assert answer.startswith(b"HTTP/1.1 413")
    assert await gateway.is_healthy()


async def test_a_chunked_body_within_the_limit_is_answered(gateway: Running) -> None:
    body = json.dumps(ask()).encode()
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:], b""))
    assert (await raw(gateway, HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks)).startswith(b"HTTP/1.1 200")


async def test_a_client_that_goes_while_it_sends_leaves_no_trace(gateway: Running, small: Upstream) -> None:
    async with gateway.dial() as (_, writer):
        writer.write(HEAD + b'content-length: 1000\r\n\r\n{"model"')
        await writer.drain()
    assert await gateway.is_healthy()
    assert small.meter.requests == 1


async def test_two_requests_in_one_packet_are_answered_in_order(gateway: Running) -> None:
    body = json.dumps(ask()).encode()
    request = HEAD + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    async with gateway.dial() as (reader, writer):
        writer.write(request + request)
        text = b""
        async with asyncio.timeout(10):
            while text.count(b"HTTP/1.1 200") < 2:
                text += await reader.read(65_536)


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"content-length: -1\r\n\r\n{}",
        b"content-length: abc\r\n\r\n{}",
    ],
)
async def test_ambiguous_framing_is_refused_and_the_line_closed(gateway: Running, framing: bytes) -> None:
    answer = await raw(gateway, HEAD + framing)
    assert answer.startswith(b"HTTP/1.1 400")
    assert await gateway.is_healthy()


async def test_forwarded_headers_change_nothing(gateway: Running) -> None:
    status, _, _ = await gateway.post(
        PATH, ask(), **{"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "gopher", "x-request-id": "evil\tid"}
    )
    assert status == 200


async def test_the_callers_request_id_never_goes_upstream(gateway: Running, small: Upstream) -> None:
    _, _, headers = await gateway.post(PATH, ask(), **{"x-request-id": "mine"})
    assert headers["x-request-id"].startswith("req_")
    assert "mine" not in small.seen[0].headers.values()
