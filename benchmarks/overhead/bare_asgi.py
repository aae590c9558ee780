"""The cheapest honest pass-through in Python: a pure ASGI callable on uvicorn, one pooled aiohttp session.

Forwards bytes both ways and decides nothing. Beside it, what a gateway costs becomes visible.
"""

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class PassThrough:
    """An ASGI application that forwards every POST to one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and self._session is not None:
            await self._forward(self._session, scope["path"], receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                connector = aiohttp.TCPConnector(limit=0)
                self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._session is not None:
                    await self._session.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _forward(self, session: aiohttp.ClientSession, path: str, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"content-type": "application/json"}
        async with session.post(self._upstream + path, data=body, headers=headers) as answer:
            kind = answer.headers["content-type"].encode()
            headers_out = [(b"content-type", kind)]
            start = {"type": "http.response.start", "status": answer.status, "headers": headers_out}
            if not kind.startswith(b"text/event-stream"):
                whole = await answer.read()
                headers_out.append((b"content-length", b"%d" % len(whole)))
                await send(start)
                await send({"type": "http.response.body", "body": whole})
                return
            await send(start)
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Run the pass-through as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="base URL without /v1")
    args = parser.parse_args()
    app: Any = PassThrough(args.upstream)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
