import json
from pathlib import Path

import pytest

from benchmarks.answer_side import retrieved
from headrace.models.store.store import Store
from tests.support.library import publish_embedder

PETS, LEVIES = "the cat and the dog of the house", "the tax law of the land"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A model store whose embedding model is a tiny one."""
    publish_embedder(tmp_path)
    return Store(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two passages, and a question about the first."""
    home = tmp_path / "data" / "retrieval" / retrieved.SET
    home.mkdir(parents=True)
    corpus = [{"_id": "d1", "title": "", "text": PETS}, {"_id": "d2", "title": "", "text": LEVIES}]
    queries = [{"_id": "q1", "text": PETS}, {"_id": "q2", "text": "which enzyme cuts the zebra finch genome"}]
    (home / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (home / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (home / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")
    return tmp_path / "data"


def test_what_the_collection_holds_is_supported_and_what_it_was_not_made_for_is_left_out(
    data: Path, store: Store
) -> None:
    found = retrieved.supports(data, {"pubmedqa:q1", "pubmedqa:q2", "gsm8k:q1"}, store)
    assert found.keys() == {"pubmedqa:q1", "pubmedqa:q2"}
    assert found["pubmedqa:q1"] > found["pubmedqa:q2"]
