import asyncio
from pathlib import Path

import pytest

from benchmarks.rag.live import Live
from headrace.contracts.errors import InvalidRequest
from headrace.gateway.telemetry.metrics import Metrics
from headrace.gateway.wiring.grounding import build_grounder, tokenizer_file
from headrace.gateway.wiring.processes import Processes
from headrace.models.catalog.catalogue import Catalogue
from tests.support.gateway import CONFIG, WordDifficulty, ask, running, settings_for
from tests.support.replies import Say
from tests.support.stores import CATS, DOGS, embedder_in
from tests.support.upstream import Upstream

MODEL = "smollm2-135m-instruct-int8"


def test_only_a_catalogue_model_that_is_in_the_store_has_a_tokenizer(tmp_path: Path) -> None:
    assert MODEL in Catalogue.packaged().ids()
    assert tokenizer_file(tmp_path, MODEL) is None
    assert tokenizer_file(tmp_path, "../../etc/passwd") is None
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    assert tokenizer_file(tmp_path, MODEL) is None
    (folder / "tokenizer.json").write_text("{}")
    assert tokenizer_file(tmp_path, MODEL) == folder / "tokenizer.json"


async def test_without_a_retriever_nothing_can_be_searched(tmp_path: Path) -> None:
    grounder = build_grounder(
        None,
        difficulty=WordDifficulty(),
        home=tmp_path,
        metrics=Metrics(),
        clock=asyncio.get_running_loop().time,
    )
    with pytest.raises(InvalidRequest, match="no documents"):
        grounder._check()


async def test_a_virtual_model_answers_from_a_real_collection_by_its_name(tmp_path: Path) -> None:
    named = CONFIG.replace("    limits:", "    retrieve: {{collection: pets, k: 2}}\n    limits:", 1)
    config = named + "embeddings: {{model: all-minilm-l6-v2}}\n"
    embedder = embedder_in(tmp_path)
    processes = Processes(embedder=embedder, embedder_folder=embedder.folder)
    async with Upstream() as upstream:
        upstream.always(Say(["The cat sat beside a cat", " [1]", "."]))
        settings = settings_for(tmp_path, upstream.url, upstream.url, config)
        async with running(settings, processes=processes) as gateway:
            missing, body, _ = await gateway.post("/v1/chat/completions", ask("Where does the cat sit?"))
            assert (missing, body["error"]["code"]) == (503, "retrieval_unavailable")
            live = Live(gateway.url, gateway.http, poll_s=0.05)
            await live.store("pets", [("cats.md", f"# Cats\n\n{CATS}".encode(), {}), ("dogs.md", DOGS.encode(), {})])
            _, body, headers = await gateway.post("/v1/chat/completions", ask("Where does the cat sit?"))
            _, found, _ = await gateway.get(f"/v1/headrace/decisions/{headers['x-headrace-decision']}")
    (citation,) = body["choices"][0]["message"]["citations"]
    assert (citation["filename"], citation["quote"], citation["index"]) == ("cats.md", CATS, 1)
    assert f"# Cats\n\n{CATS}"[citation["start"] : citation["end"]] == CATS
    assert 0 < found["features"]["retrieval_support"] <= 1
    assert found["retrieval"]["passages"] == 2
