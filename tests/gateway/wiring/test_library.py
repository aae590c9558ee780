from dataclasses import replace
from pathlib import Path

from headrace.gateway.telemetry.metrics import Metrics
from headrace.gateway.wiring.library import LibraryService
from tests.support.config import load_text
from tests.support.gateway import ask
from tests.support.stores import CATS, embedder_in, serving


async def test_a_gateway_that_keeps_no_files_makes_no_folder(tmp_path: Path) -> None:
    settings = load_text(tmp_path).retrieval
    service = LibraryService(settings, None, None, Metrics())
    service.start()
    assert service.retriever is None
    await service.stop()
    assert not settings.folder.exists()


async def test_as_many_files_are_ingested_at_once_as_the_config_says(tmp_path: Path) -> None:
    embedder = embedder_in(tmp_path)
    settings = replace(load_text(tmp_path).retrieval, ingest_workers=3)
    service = LibraryService(settings, embedder, embedder.folder, Metrics())
    assert service.retriever is not None
    assert service._stores is not None
    assert len(service._stores.intake._preparers) == 3
    await service.stop()


async def test_the_metrics_tell_of_answers_and_of_ingest(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gateway, _):
        client = gateway.client()
        file = await client.files.create(file=("cats.txt", CATS.encode()), purpose="assistants")
        store = await client.vector_stores.create(file_ids=[file.id])
        await client.vector_stores.files.poll(file.id, vector_store_id=store.id, poll_interval_ms=50)
        await gateway.get("/v1/files/file-nobody")
        async with gateway.http.get(f"{gateway.url}/metrics") as answer:
            page = await answer.text()
    for line in (
        'headrace_requests_total{endpoint="files",outcome="ok",status="200"} 1.0',
        'headrace_requests_total{endpoint="files",outcome="error",status="404"} 1.0',
        'headrace_ingested_files_total{outcome="completed"} 1.0',
        "headrace_ingest_running 0.0",
    ):
        assert line in page


async def test_an_answer_is_searched_for_in_a_store_that_was_made_by_the_api(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gateway, _):
        client = gateway.client()
        file = await client.files.create(file=("cats.txt", CATS.encode()), purpose="assistants")
        store = await client.vector_stores.create(file_ids=[file.id])
        await client.vector_stores.files.poll(file.id, vector_store_id=store.id, poll_interval_ms=50)
        tools = [{"type": "file_search", "vector_store_ids": [store.id]}]
        asked = ask("where is the cat", tools=tools, include=["file_search_call.results"])
        status, body, _ = await gateway.post("/v1/chat/completions", asked)
        assert status == 200
        (result,) = body["choices"][0]["message"]["file_search_call"]["results"]
        assert (result["file_id"], result["filename"]) == (file.id, "cats.txt")
        tools[0]["vector_store_ids"] = ["vs_" + "0" * 32]
        assert (await gateway.post("/v1/chat/completions", asked))[0] == 404
