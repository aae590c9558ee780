import asyncio

import pytest

from headrace.gateway import protocol
from tests.support.gateway import Running

START = b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n"


async def answer(gateway: Running, *pieces: bytes) -> bytes:
    try:
        async with gateway.dial() as (reader, writer), asyncio.timeout(10):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read(4096)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "head",
    [
        START + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
        START + b"".join(b"h%d: 1\r\n" % n for n in range(10_000)) + b"\r\n",
    ],
    ids=["giant header", "ten thousand headers"],
)
async def test_a_header_block_without_measure_is_cut_off(gateway: Running, head: bytes) -> None:
    got = await answer(gateway, *(head[at : at + 16_384] for at in range(0, len(head), 16_384)))
    assert got == b"" or got.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert await gateway.is_healthy()


async def test_headers_that_trickle_in_are_cut_off(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.05)
    assert await answer(gateway, START + b"x-slow: ") == b""
    assert await gateway.is_healthy()


async def test_a_line_that_says_nothing_is_closed(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.05)
    assert await answer(gateway) == b""


async def test_a_kept_alive_line_may_wait_longer_than_its_headers_may(gateway: Running) -> None:
    async with gateway.dial() as (reader, writer):
        for _ in range(3):
            writer.write(START + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")


async def test_nonsense_is_400(gateway: Running) -> None:
    assert (await answer(gateway, b"\x16\x03\x01\x02\x00\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert await gateway.is_healthy()
