"""Which HTTP client should carry upstream calls: CPU per request and per streamed chunk of three of them.

`make bench NAME=upstream_client`. Each client posts the same bytes to the mock with 10 in flight and reads the answer
to its end; nothing is parsed above HTTP. The client's process has one core, the mock the other. CPU is the process's
own user and system time.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import httpx2
import uvloop

from benchmarks.overhead import host
from benchmarks.overhead.figures import Window, print_table, summarise, write_csv
from benchmarks.overhead.load import requests
from benchmarks.overhead.mock import STREAM_CHUNKS
from benchmarks.overhead.own_client import OwnClient
from benchmarks.overhead.process import Measured, free_port, pinned

RESULT = Path(__file__).parent / "results" / "upstream_client.csv"
CLIENT_CPU, MOCK_CPU = 0, 1
IN_FLIGHT = 10
_PATH = "/v1/chat/completions"
_HEADERS = {"content-type": "application/json"}

Ask = Callable[[bytes], AsyncIterator[bytes]]
Opened = Callable[[int], AbstractAsyncContextManager[Ask]]


@asynccontextmanager
async def with_aiohttp(port: int) -> AsyncGenerator[Ask]:
    """Open one aiohttp session without a connection limit."""
    url = f"http://127.0.0.1:{port}{_PATH}"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def ask(body: bytes) -> AsyncIterator[bytes]:
            async with session.post(url, data=body, headers=_HEADERS) as answer:
                async for data in answer.content.iter_any():
                    yield data

        yield ask


@asynccontextmanager
async def with_httpx2(port: int) -> AsyncGenerator[Ask]:
    """Open one httpx2 client without a connection limit."""
    url = f"http://127.0.0.1:{port}{_PATH}"
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60.0) as client:

        async def ask(body: bytes) -> AsyncIterator[bytes]:
            async with client.stream("POST", url, content=body, headers=_HEADERS) as answer:
                async for data in answer.aiter_raw():
                    yield data

        yield ask


@asynccontextmanager
async def with_own(port: int) -> AsyncGenerator[Ask]:
    """Open the minimal client of own_client.py."""
    client = OwnClient("127.0.0.1", port)
    try:
        yield lambda body: client.stream(_PATH, body)
    finally:
        await client.close()


CLIENTS: dict[str, Opened] = {"aiohttp": with_aiohttp, "httpx2": with_httpx2, "own": with_own}


async def spend(opened: Opened, port: int, *, streams: bool, total: int) -> float:
    """Return the CPU seconds of `total` answers, after a tenth of that as warm-up."""
    source = requests("mock", port, streams=streams)
    async with opened(port) as ask:

        async def worker(number: int) -> None:
            for _ in range(number):
                body = next(source).split(b"\r\n\r\n", 1)[1]
                async for _data in ask(body):
                    pass

        for number in (total // 10, total):
            started = time.process_time()
            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(worker(number // IN_FLIGHT))
    return time.process_time() - started


def _measure(port: int, rounds: int) -> list[Window]:
    windows = []
    for _ in range(rounds):
        for name, opened in CLIENTS.items():
            plain_s = uvloop.run(spend(opened, port, streams=False, total=3000))
            windows.append(Window(name, "plain", f"c{IN_FLIGHT}", {"cpu_us_per_request": 1e6 * plain_s / 3000}))
            stream_s = uvloop.run(spend(opened, port, streams=True, total=100))
            per_chunk = 1e6 * stream_s / (100 * STREAM_CHUNKS)
            windows.append(Window(name, "stream", f"c{IN_FLIGHT}", {"cpu_us_per_chunk": per_chunk}))
    return windows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, pinned({CLIENT_CPU}):
        command = [sys.executable, "-m", "benchmarks.overhead.mock", "--port", str(port)]
        mock = Measured(command, port=port, cpus={MOCK_CPU}, log=Path(folder) / "mock.log")
        try:
            mock.wait_for(next(requests("mock", port, streams=False)))
            windows = _measure(port, args.rounds)
        finally:
            mock.stop()
    lines = summarise(windows)
    print_table(lines)
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device()}
    write_csv(args.out, lines, stamp | {"versions": host.versions("aiohttp", "httpx2", "httptools", "uvloop")})


if __name__ == "__main__":
    main()
