"""A scripted OpenAI-compatible upstream on a real loopback socket, with a meter. For tests and load scripts.

    async with Upstream() as upstream:              # answers `Say()` to everything
        upstream.then(Problem(503), Say(["Hi"]))    # the next two requests, in order
        upstream.always(Say(["again"]))             # everything after that (a Reply, or Seen -> Reply)
        ...  upstream.url  upstream.seen[0].json  upstream.meter.completion_tokens

Also answers GET /health, /metrics (vllm:num_requests_running) and /v1/models. What may be answered is in replies.py.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tests.support.replies import JSON, Close, Gate, Hang, Reply, Reset, Say, Send, Step, Wait, head

Outcome = Literal["running", "finished", "aborted", "faulted"]


@dataclass
class Seen:
    """One request as it arrived, and what became of it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    outcome: Outcome = "running"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> Any:
        """The decoded body ({} where there is none)."""
        return json.loads(self.body) if self.body else {}


@dataclass
class Meter:
    """What the upstream did in all; only completion requests count."""

    requests: int = 0
    running: int = 0
    finished: int = 0
    aborted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    connections: int = 0


class Upstream:
    """The server. One instance per test; not shared between event loops."""

    def __init__(
        self, default: Reply | Callable[[Seen], Reply] | None = None, *, models: tuple[str, ...] = ("m",)
    ) -> None:
        self.meter = Meter()
        self.seen: list[Seen] = []
        self.models = models
        self.healthy = True
        self.arrived = asyncio.Event()  # set by the first completion request
        self._default: Reply | Callable[[Seen], Reply] = default or Say()
        self._queue: deque[Reply] = deque()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL a client or a config file names."""
        return f"{self.origin}/v1"

    def then(self, *replies: Reply) -> None:
        """Queue replies for the next completion requests."""
        self._queue.extend(replies)

    def always(self, reply: Reply | Callable[[Seen], Reply]) -> None:
        """Set what answers once the queue is empty."""
        self._default = reply

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server:
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.meter.connections += 1
        number = self.meter.connections
        try:
            while (seen := await _read_request(reader, number)) and await self._answer(seen, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if seen.method == "GET":
            writer.write(self._info(seen.path))
            await writer.drain()
            return True
        self.seen.append(seen)
        self.arrived.set()
        self.meter.requests += 1
        self.meter.running += 1
        reply = self._queue.popleft() if self._queue else self._default
        chosen = reply if hasattr(reply, "steps") else reply(seen)
        gone = asyncio.create_task(reader.read(1))
        work = asyncio.create_task(self._play(chosen, seen, writer))
        try:
            await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
            keep = work.done() and not work.exception() and work.result()
            if not work.done() or isinstance(work.exception(), ConnectionError):
                seen.outcome = "aborted"
                self.meter.aborted += 1
            else:
                seen.outcome = "finished" if keep else "faulted"
                self.meter.finished += 1
            return bool(keep)
        finally:
            self.meter.running -= 1
            seen.ended.set()
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _play(self, reply: Reply, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        for step in reply.steps(seen):
            if not await self._step(step, seen, writer):
                return False
        return True

    async def _step(self, step: Step, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        match step:
            case Send(data, completion, prompt):
                writer.write(data)
                await writer.drain()
                seen.completion_tokens += completion
                seen.prompt_tokens += prompt
                self.meter.completion_tokens += completion
                self.meter.prompt_tokens += prompt
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Gate(wait, number):
                await wait(number)
            case Hang():
                await asyncio.Event().wait()
            case Reset():
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case Close():
                return False
        return True

    def _info(self, path: str) -> bytes:
        if path == "/health":
            return head(200 if self.healthy else 503, length=0)
        if path == "/metrics":
            data = f'vllm:num_requests_running{{engine="0"}} {float(self.meter.running)}\n'.encode()
            return head(200, {"content-type": "text/plain"}, length=len(data)) + data
        if path == "/v1/models":
            data = json.dumps(
                {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            ).encode()
            return head(200, JSON, length=len(data)) + data
        return head(404, length=0)


def refused_url() -> str:
    """Return a base URL on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path.partition("?")[0], headers, body, connection)
