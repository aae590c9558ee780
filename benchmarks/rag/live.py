"""A running gateway over HTTP: documents in, answers out. What the benchmarks of answers from documents share."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from headrace.contracts.errors import SetupError

INGEST_S: Final = 1_800.0
POLL_S: Final = 1.0
ANSWER_TOKENS: Final = 160
DEADLINE_S: Final = 600.0
RETRIES: Final = 5
BUSY: Final = frozenset({429, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. seconds: from the request to the last byte; hits: texts that were found, if they were asked for."""

    text: str
    tier: str
    rule: str
    attempts: int
    cost_microusd: float
    seconds: float
    citations: int
    prompt_tokens: int
    decision: str
    hits: tuple[str, ...] = ()
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class Live:
    """The gateway's API. Safe to share between tasks."""

    url: str
    session: aiohttp.ClientSession
    key: str | None = None
    clock: Callable[[], float] = time.perf_counter
    poll_s: float = POLL_S
    headers: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", {} if self.key is None else {"authorization": f"Bearer {self.key}"})

    async def store(
        self, name: str, files: Iterable[tuple[str, bytes, Mapping[str, str]]], *, may_refuse: bool = False
    ) -> str:
        """Return the id of a vector store with these files (name, content, attributes), once all are ingested.

        One of that name that is there and complete is taken as it is: `named` makes a name of what it holds.
        may_refuse: files that cannot be ingested are left out, instead of a SetupError.
        """
        known = await self._get("/v1/vector_stores?limit=100")
        for each in known["data"]:
            if each["name"] == name and each["status"] == "completed" and each["file_counts"]["total"]:
                return str(each["id"])
        store = str((await self._post("/v1/vector_stores", {"name": name}))["id"])
        for file_name, content, attributes in files:
            uploaded = await self._upload(file_name, content)
            await self._post(f"/v1/vector_stores/{store}/files", {"file_id": uploaded, "attributes": dict(attributes)})
        await self._ingested(store, may_refuse=may_refuse)
        return store

    async def ask(
        self, model: str, text: str, tools: list[dict[str, Any]] | None = None, *, tokens: int = ANSWER_TOKENS
    ) -> Answer:
        """Return one answer, asked greedily; what is busy is asked again."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
            "temperature": 0,
        }
        if tools:
            body |= {"tools": tools, "include": ["file_search_call.results"]}
        for wait_s in range(1, RETRIES + 1):
            started = self.clock()
            status, answer, headers = await self._send("POST", "/v1/chat/completions", json=body)
            if status not in BUSY:
                break
            await asyncio.sleep(wait_s * self.poll_s)
        if status != 200:  # noqa: PLR2004  (the one good status)
            raise SetupError(f"{model}: the gateway answered {status}: {json.dumps(answer)[:300]}")
        return _answer(answer, headers, self.clock() - started)

    async def _upload(self, name: str, content: bytes) -> str:
        form = aiohttp.FormData()
        form.add_field("purpose", "assistants")
        form.add_field("file", content, filename=name, content_type="application/octet-stream")
        status, body, _ = await self._send("POST", "/v1/files", data=form)
        if status != 200:  # noqa: PLR2004  (the one good status)
            raise SetupError(f"{name}: the gateway answered {status}: {json.dumps(body)[:300]}")
        return str(body["id"])

    async def _ingested(self, store: str, *, may_refuse: bool) -> None:
        async with asyncio.timeout(INGEST_S):
            while True:
                counts = (await self._get(f"/v1/vector_stores/{store}"))["file_counts"]
                if counts["failed"] and not may_refuse:
                    raise SetupError(f"vector store {store}: {counts['failed']} files could not be ingested")
                if not counts["in_progress"]:
                    return
                await asyncio.sleep(self.poll_s)

    async def _get(self, path: str) -> dict[str, Any]:
        return self._good(path, *await self._send("GET", path))

    async def _post(self, path: str, body: object) -> dict[str, Any]:
        return self._good(path, *await self._send("POST", path, json=body))

    @staticmethod
    def _good(path: str, status: int, body: dict[str, Any], _: Mapping[str, str]) -> dict[str, Any]:
        if status != 200:  # noqa: PLR2004  (the one good status)
            raise SetupError(f"{path}: the gateway answered {status}: {json.dumps(body)[:300]}")
        return body

    async def _send(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any], Mapping[str, str]]:  # noqa: ANN401  (aiohttp's options)
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        url = f"{self.url}{path}"
        async with self.session.request(method, url, headers=self.headers, timeout=timeout, **options) as answer:
            return answer.status, await answer.json(), answer.headers


def named(name: str, files: Sequence[tuple[str, bytes, Mapping[str, str]]]) -> str:
    """Return the name of a store that holds just these files."""
    told = hashlib.sha256()
    for file, content, _ in files:
        told.update(f"{file} {len(content)}\n".encode() + content)
    return f"{name}-{told.hexdigest()[:12]}"


def search(store: str, *, k: int, where: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the `tools` of a request that is answered from a store."""
    tool: dict[str, Any] = {"type": "file_search", "vector_store_ids": [store], "max_num_results": k}
    return [tool if where is None else {**tool, "filters": where}]


def _answer(body: dict[str, Any], headers: Mapping[str, str], seconds: float) -> Answer:
    message = body["choices"][0]["message"]
    found = (message.get("file_search_call") or {}).get("results") or []
    return Answer(
        text=message.get("content") or message.get("refusal") or "",
        tier=headers.get("x-headrace-tier", "none"),
        rule=headers.get("x-headrace-rule", ""),
        attempts=int(headers.get("x-headrace-attempts", 0)),
        cost_microusd=1e6 * float(headers.get("x-headrace-cost-usd", 0)),
        seconds=seconds,
        citations=len(message.get("citations") or ()),
        prompt_tokens=int((body.get("usage") or {}).get("prompt_tokens") or 0),
        decision=headers.get("x-headrace-decision", ""),
        hits=tuple(each["text"] for each in found),
        tool_calls=len(message.get("tool_calls") or ()),
    )
