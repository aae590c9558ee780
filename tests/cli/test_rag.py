import json
from pathlib import Path

import pytest

from headrace.cli import rag
from headrace.contracts.errors import ConfigError, StoreError
from headrace.models.store.store import Store
from tests.support.library import publish_embedder
from tests.support.tiny_reranker import publish_reranker

CORPUS = [("cats", "cat cat dog"), ("taxes", "tax law"), ("dogs", "dog dog dog")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("HEADRACE_HOME", str(home))
    publish_embedder(home)
    publish_reranker(home)
    return home


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    corpus = [{"_id": name, "text": text} for name, text in CORPUS]
    queries = [{"_id": "q1", "text": "cat " * 100}, {"_id": "q2", "text": "law"}]
    for name, records in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tcats\t1\nq2\ttaxes\t1\n")
    return folder


def run(*args: str) -> None:
    rag.app(args=["eval", *args], prog_name="headrace rag", standalone_mode=False)


def test_json_is_the_figures_and_nothing_else(home: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--dataset", str(dataset), "--json")
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert list(document) == ["lexical", "dense", "hybrid", "hybrid+rerank"]
    assert all(list(row) == ["ndcg@10", "recall@100", "mrr@10", "ms_per_query"] for row in document.values())
    assert document["lexical"]["ndcg@10"] == document["hybrid"]["mrr@10"] == 1
    assert "passages: 3 of 3" in told.err
    assert "questions: 8 of 8" in told.err
    assert len(list((home / "scratch").iterdir())) == 1


@pytest.mark.usefixtures("home")
def test_the_table_has_intervals_and_the_json_on_request(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--dataset", str(dataset), "--no-rerank", "--limit-queries", "1")
    table = capsys.readouterr().out
    assert "tiny: 1 questions, 3 passages" in table
    assert "1.000 .. 1.000" in table
    assert "rerank" not in table
    run("--dataset", str(dataset), "--no-rerank", "--json", "--intervals")
    document = json.loads(capsys.readouterr().out)
    assert document["hybrid"]["ndcg@10_95"] == [1, 1]
    assert list(document) == ["lexical", "dense", "hybrid"]


@pytest.mark.usefixtures("home")
def test_a_dataset_or_model_that_is_not_there_is_said_in_one_line(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        run("--dataset", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="is not in"):
        run("--dataset", str(dataset), "--embedder", "another-one")


def test_without_the_reranker_the_rest_is_measured(
    home: Path, dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: list[str]) -> list[Path]:
        raise StoreError("the package index cannot be reached")

    Store(home).remove(rag.RERANKER)
    monkeypatch.setattr(rag, "fetch", refuse)
    run("--dataset", str(dataset), "--json")
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["lexical", "dense", "hybrid"]
    assert "hybrid+rerank is left out: the package index cannot be reached" in told.err


@pytest.mark.usefixtures("home")
def test_on_a_terminal_bars_are_drawn(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run("--dataset", str(dataset), "--json", "--no-rerank")
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["lexical", "dense", "hybrid"]
    assert "questions" in told.err
