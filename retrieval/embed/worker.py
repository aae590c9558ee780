"""The embedding worker process: `python -m headrace.retrieval.embed.worker --model-dir DIR --port N`.

Serves the gateway over loopback HTTP. Its key comes in HEADRACE_EMBED_KEY.
GET /health. POST /embed {"input": [text or token ids, ...]}, answered by the vectors as little-endian float32 in
order, with the headers x-dimensions and x-prompt-tokens; or by {"error": message} with 400, 401 or 503.
"""

import argparse
import asyncio
import contextlib
import hmac
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
from aiohttp import web

from headrace.contracts.errors import HeadraceError, InvalidRequest, Unauthenticated
from headrace.retrieval.embed.batching import Batcher
from headrace.retrieval.embed.model import EmbeddingModel

KEY_VARIABLE = "HEADRACE_EMBED_KEY"
MAX_BODY_BYTES = 32 * 2**20


class _Request(msgspec.Struct):
    input: list[str | list[int]]


_decode = msgspec.json.Decoder(_Request).decode


class Worker:
    """The routes over one model."""

    def __init__(self, model: EmbeddingModel, key: str) -> None:
        self._model = model
        self._key = f"Bearer {key}".encode()
        self._batcher = Batcher(model.embed)

    def app(self) -> web.Application:
        """Return the application; batches run while it does."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/health", self._health)
        app.router.add_post("/embed", self._embed)
        app.cleanup_ctx.append(self._batches)
        return app

    async def _batches(self, _: web.Application) -> AsyncIterator[None]:
        serving = asyncio.create_task(self._batcher.serve())
        serving.add_done_callback(_end_if_broken)
        yield
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _embed(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
            sequences = await asyncio.to_thread(self._model.tokenize, _inputs_of(await request.read()))
            vectors = await self._batcher.submit(sequences)
        except HeadraceError as exc:
            return web.json_response({"error": exc.message}, status=exc.status)
        headers = {
            "x-dimensions": str(self._model.dimensions),
            "x-prompt-tokens": str(sum(len(ids) for ids in sequences)),
        }
        return web.Response(body=b"".join(vectors), headers=headers, content_type="application/octet-stream")

    def _authenticate(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._key):
            raise Unauthenticated("this worker answers its own gateway only")


def _end_if_broken(serving: asyncio.Task[None]) -> None:
    """End the process when its model has failed: the supervisor starts a fresh one."""
    if not serving.cancelled():
        signal.raise_signal(signal.SIGTERM)


def _inputs_of(body: bytes) -> Sequence[str | Sequence[int]]:
    try:
        inputs = _decode(body).input
    except msgspec.DecodeError as exc:
        raise InvalidRequest(f"not a list of texts or of token id lists: {exc}", param="input") from exc
    if not inputs:
        raise InvalidRequest("there is nothing to embed", param="input")
    return inputs


def main(arguments: Sequence[str] | None = None, *, run: Callable[..., None] = web.run_app) -> None:
    """Load the model and serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="headrace.retrieval.embed.worker", description=__doc__)
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    worker = Worker(EmbeddingModel(options.model_dir, threads=options.threads), os.environ[KEY_VARIABLE])
    run(worker.app(), host="127.0.0.1", port=options.port, print=None, access_log=None, shutdown_timeout=5.0)


if __name__ == "__main__":
    main()
