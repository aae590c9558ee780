from dataclasses import replace
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.gateway.wiring.reranking import RERANKER, build_reranker
from tests.support.config import SAMPLE, load_text
from tests.support.tiny_reranker import publish_reranker


def test_there_is_one_only_where_the_config_asks_for_it(tmp_path: Path) -> None:
    settings = replace(load_text(tmp_path), home=tmp_path / "home")
    assert build_reranker(settings) is None
    asked = replace(load_text(tmp_path, SAMPLE + "retrieval: {rerank: true}\n"), home=tmp_path / "home")
    with pytest.raises(StoreError, match=f"run: headrace models fetch {RERANKER}"):
        build_reranker(asked)
    publish_reranker(asked.home)
    reranker = build_reranker(asked)
    assert reranker is not None
    assert reranker.score("law", ["cat", "tax"], deadline=1e12) == [3.0, -3.0]
