import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.cli import index
from headrace.cli.search import RERANKER, app, parse_filters
from headrace.contracts.errors import InvalidRequest, NotFound, StoreError
from headrace.contracts.retrieval import Compare, Compound
from headrace.models.store.store import HOME_VARIABLE
from tests.support.library import publish_embedder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    publish_embedder(tmp_path / "home")
    docs = tmp_path / "docs" / "deep"
    docs.mkdir(parents=True)
    (docs / "cats.md").write_text("# Pets\n\ncat dog cat [red]")
    (docs / "law.txt").write_text("tax law " * 60)
    index.app(args=["add", "handbook", str(tmp_path / "docs"), "--attribute", "year=2024"], standalone_mode=False)
    (tmp_path / "old.txt").write_text("cat")
    index.app(args=["add", "handbook", str(tmp_path / "old.txt"), "--attribute", "year=2020"], standalone_mode=False)
    capsys.readouterr()
    return tmp_path


def run(*args: str) -> None:
    app(args=list(args), prog_name="headrace search", standalone_mode=False)


def hits(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, Any]]:
    run(*args, "--json")
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["hits"]
    return found


@pytest.mark.usefixtures("home")
def test_the_table_shows_each_stage_and_where_a_passage_stands(capsys: pytest.CaptureFixture[str]) -> None:
    run("handbook", "dog")
    out = capsys.readouterr().out
    for word in ("lexical", "dense", "hybrid", "deep", "Pets", "[red]", "support"):
        assert word in out
    assert "rerank" not in out


@pytest.mark.usefixtures("home")
def test_hits_come_with_scores_offsets_and_attributes(capsys: pytest.CaptureFixture[str]) -> None:
    first = hits(capsys, "handbook", "dog", "--k", "1")[0]
    assert first["passage"]["attributes"]["path"] == "deep/cats.md"
    assert first["passage"]["text"].endswith("cat dog cat [red]")
    assert set(first["stages"]) == {"lexical", "dense", "hybrid"}


@pytest.mark.usefixtures("home")
def test_filters_narrow_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = hits(capsys, "handbook", "cat", "--filter", "year<2024")
    assert old["passage"]["name"] == "old.txt"
    assert {
        one["passage"]["attributes"]["year"] for one in hits(capsys, "handbook", "cat", "--filter", "year=2024")
    } == {2024}


@pytest.mark.usefixtures("home")
def test_words_alone_and_the_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("law"))
    found = hits(capsys, "handbook", "-", "--mode", "lexical", "--k", "2")
    assert all(set(one["stages"]) == {"lexical"} for one in found)
    run("handbook", "zebra", "--mode", "lexical")
    assert "nothing found in handbook" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
def test_mistakes_are_told_with_their_cure() -> None:
    with pytest.raises(NotFound, match="headrace index list"):
        run("nothing", "x")
    with pytest.raises(InvalidRequest, match="empty"):
        run("handbook", " ")
    with pytest.raises(StoreError, match=RERANKER):
        run("handbook", "x", "--rerank")


def test_filters_are_read_as_typed_and_as_openai_writes_them() -> None:
    assert parse_filters([]) is None
    assert parse_filters(["a=1"]) == Compare("a", "eq", 1)
    both = parse_filters(["a>=0.5", '{"type": "in", "key": "b", "value": ["x", "y"]}'])
    assert both == Compound("and", (Compare("a", "gte", 0.5), Compare("b", "in", ("x", "y"))))
    for wrong in ("a", "{", '{"type": "like", "key": "a", "value": 1}'):
        with pytest.raises(InvalidRequest, match="--filter"):
            parse_filters([wrong])
