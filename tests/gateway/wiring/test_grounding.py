import asyncio
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.telemetry.metrics import Metrics
from headrace.gateway.wiring.grounding import build_grounder, tokenizer_file
from headrace.models.catalog.catalogue import Catalogue
from tests.support.gateway import WordDifficulty

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
