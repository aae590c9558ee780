import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from headrace.models.backends.wire import (
    HELD_BYTES,
    IDLE_S,
    MAX_HEAD_BYTES,
    Lost,
    Malformed,
    NoConnection,
    Pool,
    Target,
)
from tests.support.upstream import refused_url

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server that answers each request with the next bytes of its script."""

    def __init__(self, *answers: bytes, closes: bool = False) -> None:
        self.answers = list(answers)
        self.closes = closes
        self.requests: list[bytes] = []
        self.connections = 0
        self.handlers: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.handlers.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answers.pop(0))
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[str]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
        await asyncio.gather(*filter(None, peer.handlers))  # the pool is closed by now, so every handler ends


async def ask(pool: Pool, url: str) -> tuple[int, bytes]:
    target = Target(url, {})
    response = pool.idle(target) or await pool.connect(target, within_s=5)
    try:
        await response.start(target.request(b"{}", "req_1"))
        parts = []
        while data := await response.read():
            parts.append(data)
        return response.status, b"".join(parts)
    finally:
        response.close()


async def test_the_request_has_its_path_host_headers_and_body() -> None:
    peer = Peer(OK + b"Content-Length: 2\r\n\r\nhi")
    async with serving(peer) as url, Pool() as pool:
        target = Target(f"{url}?a=1", {"Authorization": "Bearer k"})
        response = pool.idle(target) or await pool.connect(target, within_s=5)
        await response.start(target.request(b'{"n":1}', "req_7"))
        response.close()

    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/x?a=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Bearer k\r\nX-Request-Id: req_7\r\nContent-Length: 7" in head
    assert body == b'{"n":1}'


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    ],
    ids=["length", "chunked", "after an interim answer"],
)
async def test_an_answer_is_read_to_its_end_and_its_connection_used_again(answer: bytes) -> None:
    peer = Peer(answer, answer)
    async with serving(peer) as url, Pool() as pool:
        assert await ask(pool, url) == (200, b"hello")
        assert await ask(pool, url) == (200, b"hello")
    assert peer.connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    peer = Peer(OK + b"\r\nhello", closes=True)
    async with serving(peer) as url, Pool() as pool:
        assert await ask(pool, url) == (200, b"hello")


async def test_connection_close_is_obeyed() -> None:
    answer = OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi"
    peer = Peer(answer, answer)
    async with serving(peer) as url, Pool() as pool:
        await ask(pool, url)
        await ask(pool, url)
    assert peer.connections == 2


async def test_an_answer_left_unread_costs_its_connection() -> None:
    answer = OK + b"Content-Length: 5\r\n\r\nhello"
    peer = Peer(answer, answer)
    async with serving(peer) as url, Pool() as pool:
        target = Target(url, {})
        response = pool.idle(target) or await pool.connect(target, within_s=5)
        await response.start(target.request(b"{}", "req_1"))
        response.close()
        assert await ask(pool, url) == (200, b"hello")
    assert peer.connections == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Lost),
        (b"HTTP/1.1 200", Lost),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Malformed),
        (OK + b"Content-Length: 50\r\n\r\nhello", Malformed),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", Malformed),
        (OK + b"X: " + b"x" * MAX_HEAD_BYTES, Malformed),
    ],
    ids=["nothing", "half a head", "no http", "short body", "short chunk", "endless head"],
)
async def test_every_broken_answer_is_named(answer: bytes, error: type[OSError]) -> None:
    async with serving(Peer(answer, closes=True)) as url, Pool() as pool:
        with pytest.raises(error):
            await ask(pool, url)


async def test_bytes_nobody_asked_for_end_an_idle_connection() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nhi"
    peer = Peer(answer + b"HTTP/1.1 200 OK\r\n", answer)
    async with serving(peer) as url, Pool() as pool:
        assert await ask(pool, url) == (200, b"hi")
        await asyncio.sleep(0)
        assert await ask(pool, url) == (200, b"hi")


async def test_a_reader_far_behind_stops_the_sender_and_loses_nothing() -> None:
    size = 20 * HELD_BYTES
    peer = Peer(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    async with serving(peer) as url, Pool() as pool:
        target = Target(url, {})
        response = pool.idle(target) or await pool.connect(target, within_s=5)
        await response.start(target.request(b"{}", "req_1"))
        await asyncio.sleep(0.05)
        first = await response.read()
        rest = 0
        while data := await response.read():
            rest += len(data)
        response.close()
    assert len(first) < size / 2
    assert len(first) + rest == size


async def test_aborting_wakes_the_reader() -> None:
    async with serving(Peer(OK + b"Content-Length: 9\r\n\r\n")) as url, Pool() as pool:
        target = Target(url, {})
        response = pool.idle(target) or await pool.connect(target, within_s=5)
        await response.start(target.request(b"{}", "req_1"))
        asyncio.get_running_loop().call_soon(response.abort)
        with pytest.raises(OSError, match="cut short"):
            await response.read()
        response.close()


async def test_no_connection_is_told_apart() -> None:
    async with Pool() as pool:
        with pytest.raises(NoConnection, match="refused"):
            await pool.connect(Target(f"{refused_url()}/x", {}), within_s=5)
        with pytest.raises(NoConnection, match="in 0 s"):
            await pool.connect(Target("http://127.0.0.1:9/x", {}), within_s=0)


async def test_tls_is_checked_against_the_system_s_authorities() -> None:
    async with serving(Peer()) as url, Pool() as pool:
        with pytest.raises(NoConnection) as caught:
            await pool.connect(Target(url.replace("http:", "https:"), {}), within_s=5)
    assert isinstance(caught.value.__cause__, ssl.SSLError | OSError)


@pytest.mark.parametrize("url", ["ftp://h/x", "/v1", "http:///x", "http://h/a b\r\nX: y"])
def test_a_target_is_an_absolute_url_without_control_characters(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Target(url, {})


def test_a_header_cannot_smuggle_another() -> None:
    with pytest.raises(ValueError, match="control characters"):
        Target("http://h/x", {"Authorization": "Bearer k\r\nX-Evil: 1"})


async def test_a_connection_that_idled_too_long_is_not_used_even_if_its_timer_was_held_up() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nhi"
    peer = Peer(answer, answer)
    times = itertools.count(0, IDLE_S + 1)
    async with serving(peer) as url, Pool(clock=lambda: next(times)) as pool:
        await ask(pool, url)
        await ask(pool, url)
    assert peer.connections == 2


async def test_a_fresh_connection_can_be_had_while_others_idle() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nhi"
    peer = Peer(answer)
    async with serving(peer) as url, Pool() as pool:
        await ask(pool, url)
        response = await pool.connect(Target(url, {}), within_s=5)
        assert not response.was_used
        response.close()
