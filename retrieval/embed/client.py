"""The gateway's Embedder: asks the worker over loopback, shortens vectors on request. Holds no model."""

import asyncio
import math
from array import array
from collections.abc import Callable
from typing import NoReturn

import aiohttp
import msgspec

from headrace.contracts.chat import EmbeddingCall, Usage
from headrace.contracts.errors import (
    BackendError,
    BackendProtocol,
    BackendTimeout,
    BackendUnavailable,
    HeadraceError,
    InvalidRequest,
    Overloaded,
)
from headrace.contracts.models import ModelCard
from headrace.contracts.protocols import Embeddings

_FLOAT_BYTES = 4
_POLL_S = 0.1
_OK = 200


class EmbedClient:
    """Implements contracts.protocols.Embedder over one worker. Safe to share between tasks.

    session: the shared HTTP session. is_up: whether the worker's process runs. timeout_s bounds one call.
    """

    def __init__(
        self,
        *,
        card: ModelCard,
        url: str,
        key: str,
        session: aiohttp.ClientSession,
        is_up: Callable[[], bool] = lambda: True,
        timeout_s: float = 30.0,
    ) -> None:
        self.card = card
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._session = session
        self._is_up = is_up
        self._timeout_s = timeout_s

    def is_live(self) -> bool:
        """True while the worker's process runs."""
        return self._is_up()

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Embed every input; InvalidRequest for a bad or overlong one, Overloaded when the worker is full."""
        body = msgspec.json.encode({"input": call.inputs})
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(f"{self._url}/embed", data=body, headers=self._headers) as response,
            ):
                data = await response.read()
        except TimeoutError as exc:
            raise BackendTimeout(f"the embedding worker gave no answer in {self._timeout_s:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise BackendUnavailable("the embedding worker is not running") from exc
        if response.status != _OK:
            _refuse(response.status, data)
        dimensions = int(response.headers["x-dimensions"])
        tokens = int(response.headers["x-prompt-tokens"])
        size = dimensions * _FLOAT_BYTES
        if len(data) != size * len(call.inputs):
            raise BackendProtocol(f"the embedding worker sent {len(data)} bytes for {len(call.inputs)} inputs")
        vectors = [data[start : start + size] for start in range(0, len(data), size)]
        wanted = call.dimensions or dimensions
        if not 1 <= wanted <= dimensions:
            raise InvalidRequest(f"dimensions is {wanted}; this model has 1 to {dimensions}", param="dimensions")
        if wanted < dimensions:
            vectors = [shorten(vector, wanted) for vector in vectors]
        return Embeddings(vectors, wanted, Usage(tokens, 0, tokens))

    async def ready(self, say: Callable[[str], None]) -> None:
        """Return once the worker has embedded a text; for the supervisor, which bounds the time."""
        say("the embedding model")
        while True:
            try:
                await self.embed(EmbeddingCall(self.card.id, ["ready?"]))
            except BackendUnavailable:
                await asyncio.sleep(_POLL_S)
            else:
                return


def shorten(vector: bytes, dimensions: int) -> bytes:
    """Return the first `dimensions` numbers of a float32 vector, brought back to length one."""
    head = array("f", vector[: dimensions * _FLOAT_BYTES])
    norm = math.sqrt(math.fsum(x * x for x in head))
    return array("f", (x / norm for x in head)).tobytes() if norm else head.tobytes()


def _refuse(status: int, data: bytes) -> NoReturn:
    try:
        loose = msgspec.json.decode(data)
        message = str(loose["error"])
    except (msgspec.DecodeError, KeyError, TypeError) as exc:
        raise BackendProtocol(f"the embedding worker answered {status}") from exc
    by_status: dict[int, type[HeadraceError]] = {400: InvalidRequest, 413: InvalidRequest, 503: Overloaded}
    error = by_status.get(status, BackendError)
    raise error(message, param="input" if error is InvalidRequest else None)
