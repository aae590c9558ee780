"""Files and vector stores with real parts in small: a tiny embedding model in this process, and a gateway over it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from headrace.contracts.chat import EmbeddingCall, Usage
from headrace.contracts.errors import BackendUnavailable
from headrace.contracts.models import ModelCard
from headrace.contracts.protocols import Embeddings
from headrace.contracts.retrieval import EmbedderId
from headrace.gateway.auth import key_digest
from headrace.gateway.wiring.processes import Processes
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.library.library import Library, LibraryLimits
from tests.support.config import card
from tests.support.gateway import CONFIG, Running, running, settings_for
from tests.support.tiny_embedding import write_model
from tests.support.upstream import Upstream

CATS = "The cat sat beside a cat."
DOGS = "A dog chased another dog."
TAXES = "The tax law is a law on tax."
SECRET = "a secret of thirty-two bytes and more"
EMBEDDER = EmbedderId("tiny", "0" * 64, 4)


class TinyEmbedder:
    """The tiny model, embedded by in this process. is_away: calls fail as those of a worker that starts do.

    gate: calls wait while it is closed.
    """

    def __init__(self, folder: Path) -> None:
        write_model(folder, max_tokens=256)
        self.folder = folder
        self.card: ModelCard = card("tiny", "embeddings")
        self.is_away = False
        self.texts: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._model = EmbeddingModel(folder, threads=1)

    def is_live(self) -> bool:
        return not self.is_away

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        await self.gate.wait()
        if self.is_away:
            raise BackendUnavailable("the worker at http://127.0.0.1:1 is gone")
        self.texts += [str(text) for text in call.inputs]
        vectors = self._model.embed(self._model.tokenize(list(call.inputs)))
        return Embeddings(vectors, self._model.dimensions, Usage(prompt_tokens=3 * len(vectors)))


class Clock:
    """Seconds since 1970 that stand still until told otherwise."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def library_in(folder: Path, *, now: Callable[[], float] | None = None, **limits: int) -> Library:
    """Return a library in a folder, whose clock stands still."""
    return Library(folder, LibraryLimits(**limits), now=now or Clock())


async def always() -> bool:
    """Want it."""
    return True


def embedder_in(folder: Path) -> TinyEmbedder:
    """Return an embedder whose model lies below a folder."""
    (folder / "model").mkdir(exist_ok=True)
    return TinyEmbedder(folder / "model")


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    retrieval: str = "{}",
    keys: Mapping[str, tuple[str, str]] | None = None,
    has_embedder: bool = True,
) -> AsyncIterator[tuple[Running, TinyEmbedder]]:
    """Serve files and vector stores without engines.

    retrieval: that section of the config. keys: key -> (tenant, scopes); none: everybody is let in.
    """
    embedder = embedder_in(folder)
    more, environ = f"retrieval: {retrieval}\n", dict[str, str]()
    if keys:
        more += "keys_file: keys.yaml\n"
        environ["HEADRACE_SECRET"] = SECRET
        (folder / "keys.yaml").write_text(_keys_file(keys))
    config = CONFIG + more.replace("{", "{{").replace("}", "}}")
    processes = Processes(embedder=embedder, embedder_folder=embedder.folder) if has_embedder else Processes()
    async with Upstream() as upstream:
        settings = settings_for(folder, upstream.url, upstream.url, config, **environ)
        async with running(settings, environ=environ, processes=processes) as gateway:
            yield gateway, embedder


def _keys_file(keys: Mapping[str, tuple[str, str]]) -> str:
    lines = [
        f"  - {{id: k{number}, tenant: {tenant}, scopes: [{scopes}], "
        f'hash: "hmac-sha256:{key_digest(SECRET.encode(), key).hex()}"}}'
        for number, (key, (tenant, scopes)) in enumerate(keys.items())
    ]
    return "version: 1\nkeys:\n" + "\n".join(lines) + "\n"
