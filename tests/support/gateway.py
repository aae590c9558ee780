"""A whole gateway on a real loopback socket, in the test's own loop, over scripted upstreams."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import openai

from headrace.contracts.chat import EmbeddingCall, Usage
from headrace.contracts.errors import BackendUnavailable
from headrace.contracts.models import ModelCard
from headrace.contracts.protocols import Embeddings
from headrace.contracts.retrieval import Retriever
from headrace.contracts.routing import Difficulty
from headrace.gateway.server import GatewayServer, bind
from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import Settings
from headrace.gateway.wiring.processes import Processes
from headrace.gateway.wiring.system import Artefacts, System
from headrace.models.backends.session import make_session
from tests.support.cascade import ScriptedJudge
from tests.support.config import card

CONFIG = """\
version: 1
server: {{host: 127.0.0.1, port: 8080, max_body_bytes: 200000, drain_s: 5}}
backends:
  s: {{urls: ["{small}"], model: small-upstream, capabilities: [stream, logprobs, tools, json_schema],
       context_tokens: 8192, price: {{input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}}}}
  l: {{urls: ["{large}"], model: large-upstream, capabilities: [stream, logprobs, tools, json_schema],
       context_tokens: 8192, price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}}}
tiers:
  - {{id: small, default: s, concurrency: 4, queue: 2}}
  - {{id: large, default: l, concurrency: 4, queue: 2}}
virtual_models:
  headrace/auto:
    select:
      - {{id: hard, when: {{difficulty: {{gt: 0.5}}}}, use: large}}
      - {{id: default, use: small}}
    on_low_confidence: {{probe: {{tokens: 8, s: 2, on_uncertain: commit}}, max_risk: 0.2, then: [large]}}
    on_failure:
      - {{id: next-tier, errors: [any], then: [large]}}
    limits: {{max_attempts: 3, deadline_s: 20}}
aliases: {{gpt-4o-mini: headrace/auto}}
ledger: {{folder: "{folder}/ledger", flush_s: 0.05}}
telemetry: {{request_log: false}}
"""


class WordDifficulty:
    """Calls a question hard when it says so."""

    def judge(self, text: str) -> Difficulty:
        return Difficulty(0.9 if "hard" in text else 0.1, "chat", unfamiliar=False, artefact="words")


class CountingEmbedder:
    """Embeds a text as (length, 1.0): enough to see order and encodings."""

    def __init__(self) -> None:
        self.card: ModelCard = card("mini", "embeddings")
        self.live = True
        self.broken = False
        self.calls: list[EmbeddingCall] = []

    def is_live(self) -> bool:
        return self.live

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        import array  # noqa: PLC0415  (only embedding tests)

        self.calls.append(call)
        if self.broken:
            raise BackendUnavailable("the worker at http://127.0.0.1:1 is gone")
        vectors = [array.array("f", (float(len(each)), 1.0)).tobytes() for each in call.inputs]
        return Embeddings(vectors, 2, Usage(prompt_tokens=3 * len(vectors)))


@dataclass
class Running:
    """A gateway that listens."""

    url: str
    port: int
    system: System
    server: GatewayServer
    settings: Settings
    judge: ScriptedJudge
    embedder: CountingEmbedder
    http: aiohttp.ClientSession
    task: asyncio.Task[None]
    clients: list[openai.AsyncOpenAI] = field(default_factory=list)

    def client(self, **options: Any) -> openai.AsyncOpenAI:
        options = {"max_retries": 0, "timeout": 20, "api_key": "unused"} | options
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", **options)
        self.clients.append(client)
        return client

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a bare connection, closed at the end whatever happens."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """POST JSON and return status, body and headers."""
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """GET a JSON document."""
        async with self.http.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers

    async def stream(self, body: dict[str, Any]) -> bytes:
        """POST a streamed chat and return the raw events."""
        async with self.http.post(f"{self.url}/v1/chat/completions", json={**body, "stream": True}) as answer:
            return await answer.read()

    async def is_healthy(self) -> bool:
        """Tell whether the gateway still answers a plain question and its health check."""
        status, _, _ = await self.post("/v1/chat/completions", ask("are you well"))
        return status == 200 and (await self.get("/livez"))[0] == 200


def ask(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return the smallest chat request, with `more` fields."""
    return {"model": "headrace/auto", "messages": [{"role": "user", "content": text}], **more}


def settings_for(folder: Path, small: str, large: str, config: str = CONFIG, **environ: str) -> Settings:
    """Write a config file and load it with a free port."""
    file = folder / "headrace.yaml"
    file.write_text(config.format(small=small, large=large, folder=folder))
    settings = load(file, environ={"HEADRACE_HOME": str(folder), **environ})
    return replace(settings, server=replace(settings.server, port=0))


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    retriever: Retriever | None = None,
    processes: Processes | None = None,
) -> AsyncIterator[Running]:
    """Serve on a free port until the block ends, then drain."""
    judge, embedder = ScriptedJudge(), CountingEmbedder()
    environ = {**environ, "HEADRACE_HOME": str(settings.home)}

    def reload(path: Path) -> Settings:
        fresh = load(path, environ=environ)
        return replace(fresh, server=settings.server)

    async with make_session() as session, aiohttp.ClientSession() as http:
        artefacts = Artefacts(WordDifficulty(), judge)
        processes = processes or Processes(embedder=embedder)
        system = System(settings, artefacts, session, processes, environ=environ, retriever=retriever)
        system.start()
        listener = bind(settings.server)
        port = listener.getsockname()[1]
        ready = asyncio.Event()
        server = GatewayServer(system, listener, settings, load=reload, on_ready=ready.set)
        task = asyncio.ensure_future(server.run())
        gateway = Running(f"http://127.0.0.1:{port}", port, system, server, settings, judge, embedder, http, task)
        try:
            async with asyncio.timeout(10):
                await ready.wait()
            yield gateway
        finally:
            for client in gateway.clients:
                await client.close()
            server.stop()
            await task
            await system.stop()


async def until(holds: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Return once it holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  (what is awaited happens in places that know no event of ours)
            await asyncio.sleep(0.02)
