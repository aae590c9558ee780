"""The pass-through most people write first: a FastAPI route, one shared httpx2 client.

Forwards the JSON both ways and decides nothing.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse


def build(upstream: str) -> FastAPI:
    """Return the application that forwards chat completions to `upstream` (base URL without /v1)."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx2.AsyncClient(base_url=upstream, limits=limits, timeout=60.0)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        upstream_request = client.build_request("POST", "/v1/chat/completions", json=body)
        answer = await client.send(upstream_request, stream=bool(body.get("stream")))
        kind = answer.headers["content-type"]
        if not body.get("stream"):
            return Response(answer.content, answer.status_code, media_type=kind)

        async def relay() -> AsyncIterator[bytes]:
            try:
                async for data in answer.aiter_raw():
                    yield data
            finally:
                await answer.aclose()

        return StreamingResponse(relay(), answer.status_code, media_type=kind)

    return app


def main() -> None:
    """Run the pass-through as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="base URL without /v1")
    args = parser.parse_args()
    uvicorn.run(build(args.upstream), host="127.0.0.1", port=args.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
