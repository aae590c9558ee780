import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from headrace.retrieval.embed import worker
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.embed.worker import KEY_VARIABLE, Worker
from tests.support.tiny_embedding import write_model

KEY = {"Authorization": "Bearer k"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    write_model(tmp_path)
    async with TestClient(TestServer(Worker(EmbeddingModel(tmp_path, threads=1), "k").app())) as made:
        yield made


async def test_vectors_come_back_with_their_size_and_token_count(
    client: TestClient[web.Request, web.Application],
) -> None:
    response = await client.post("/embed", json={"input": ["cat", "dog law"]}, headers=KEY)
    assert len(await response.read()) == 2 * 4 * 4
    assert (response.headers["x-dimensions"], response.headers["x-prompt-tokens"]) == ("4", "7")
    assert (await client.get("/health")).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": []}, 400),
        ({"input": "cat"}, 400),
        ({"input": [1]}, 400),
        ({"input": ["cat", ["dog"]]}, 400),
        ({"input": ["cat " * 99]}, 400),
        ({}, 400),
    ],
)
async def test_bad_requests_are_refused(
    client: TestClient[web.Request, web.Application], body: dict[str, Any], status: int
) -> None:
    response = await client.post("/embed", json=body, headers=KEY)
    assert response.status == status
    assert (await response.json())["error"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer \u00e9"}])
async def test_strangers_are_refused(client: TestClient[web.Request, web.Application], headers: dict[str, str]) -> None:
    assert (await client.post("/embed", json={"input": ["cat"]}, headers=headers)).status == 401


def test_main_serves_on_loopback_with_the_key_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, "k")
    served: dict[str, Any] = {}
    worker.main(["--model-dir", str(tmp_path), "--port", "9"], run=lambda _, **options: served.update(options))
    assert (served["host"], served["port"]) == ("127.0.0.1", 9)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
