import asyncio
import math
import socket
from array import array
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.chat import EmbeddingCall
from headrace.contracts.errors import BackendProtocol, BackendTimeout, BackendUnavailable, InvalidRequest, Overloaded
from headrace.contracts.models import ModelCard, Price
from headrace.contracts.protocols import Embedder
from headrace.retrieval.embed.client import EmbedClient, shorten
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.embed.worker import Worker
from tests.support.tiny_embedding import write_model

CARD = ModelCard("mini", 8, frozenset({"embeddings"}), Price(Decimal(0), Decimal(0)))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def embedder(tmp_path: Path, session: aiohttp.ClientSession) -> AsyncIterator[EmbedClient]:
    write_model(tmp_path)
    async with TestServer(Worker(EmbeddingModel(tmp_path, threads=1), "k").app()) as server:
        yield EmbedClient(card=CARD, url=str(server.make_url("/")), key="k", session=session)


async def test_every_input_gets_its_vector_and_the_tokens_are_counted(embedder: EmbedClient) -> None:
    seam: Embedder = embedder
    answer = await seam.embed(EmbeddingCall("mini", ["cat", "dog law"]))
    assert [len(vector) for vector in answer.vectors] == [16, 16]
    assert (answer.dimensions, answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 7, 7)


async def test_fewer_dimensions_are_a_renormalised_head(embedder: EmbedClient) -> None:
    whole = await embedder.embed(EmbeddingCall("mini", ["cat"]))
    short = await embedder.embed(EmbeddingCall("mini", ["cat"], dimensions=2))
    a, b = array("f", whole.vectors[0])[:2], array("f", short.vectors[0])
    assert math.hypot(*b) == pytest.approx(1.0, abs=1e-6)
    assert a[0] / a[1] == pytest.approx(b[0] / b[1], rel=1e-5)


@pytest.mark.parametrize("call", [EmbeddingCall("mini", ["cat " * 99]), EmbeddingCall("mini", [[99]])])
async def test_the_workers_refusal_is_the_callers_mistake(embedder: EmbedClient, call: EmbeddingCall) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await embedder.embed(call)
    assert caught.value.param == "input"


async def test_more_dimensions_than_there_are_is_the_callers_mistake(embedder: EmbedClient) -> None:
    with pytest.raises(InvalidRequest, match="this model has 1 to 4"):
        await embedder.embed(EmbeddingCall("mini", ["cat"], dimensions=5))


async def test_ready_waits_for_a_first_vector(embedder: EmbedClient) -> None:
    said: list[str] = []
    await embedder.ready(said.append)
    assert said == ["the embedding model"]


async def scripted(session: aiohttp.ClientSession, handler: web.Response | None) -> None:
    async def answer(_: web.Request) -> web.Response:
        if handler is None:
            await asyncio.sleep(30)
        assert handler is not None
        return handler

    app = web.Application()
    app.router.add_post("/embed", answer)
    async with TestServer(app) as server:
        client = EmbedClient(card=CARD, url=str(server.make_url("/")), key="k", session=session, timeout_s=0.2)
        await client.embed(EmbeddingCall("mini", ["cat"]))


async def test_a_full_slow_or_strange_worker_is_named(session: aiohttp.ClientSession) -> None:
    with pytest.raises(Overloaded):
        await scripted(session, web.json_response({"error": "full"}, status=503))
    with pytest.raises(BackendTimeout):
        await scripted(session, None)
    with pytest.raises(BackendProtocol, match="answered 500"):
        await scripted(session, web.Response(status=500, text="<html>"))
    with pytest.raises(BackendProtocol, match="5 bytes for 1 inputs"):
        await scripted(session, web.Response(body=b"12345", headers={"x-dimensions": "4", "x-prompt-tokens": "1"}))


async def test_a_worker_that_is_not_there_is_unavailable(session: aiohttp.ClientSession) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    client = EmbedClient(card=CARD, url=url, key="k", session=session, is_up=lambda: False)
    assert not client.is_live()
    with pytest.raises(BackendUnavailable):
        await client.embed(EmbeddingCall("mini", ["cat"]))


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=32), st.data())
def test_a_shortened_vector_has_length_one_or_is_nothing(values: list[float], data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, len(values)))
    short = array("f", shorten(array("f", values).tobytes(), dimensions))
    assert len(short) == dimensions
    length = math.hypot(*short)
    assert length == pytest.approx(1.0, abs=1e-4) or math.hypot(*values[:dimensions]) < 1e-30
