from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.contracts.retrieval import EmbedderId, Index, Query
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.collection.open import open_index
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.search import corpus as module
from headrace.retrieval.search.beir import Record
from headrace.retrieval.search.corpus import Corpus, Filler, place_of
from headrace.retrieval.search.search import Searcher
from tests.support.tiny_embedding import write_model

RECORDS = [
    Record("a", "cat dog", "cat"),
    Record("b", "tax law"),
    Record("c", "dog " * 29 + "law", "dog"),
    Record("d", "   "),
]
EMBEDDER = EmbedderId("tiny", "0" * 64, 4)
Told = list[tuple[int, int]]


class Counting(EmbeddingModel):
    """An embedding model that counts the sequences it is given."""

    embedded = 0

    def embed(self, sequences: list[list[int]]) -> list[bytes]:  # type: ignore[override]  # what is given here
        """Count, and embed."""
        self.embedded += len(sequences)
        return super().embed(sequences)


@pytest.fixture
def model(tmp_path: Path) -> Counting:
    write_model(tmp_path, max_tokens=24)
    return Counting(tmp_path, threads=1)


@pytest.fixture
def tokenizer(tmp_path: Path, model: Counting) -> Tokens:
    assert model.max_tokens == 24
    return Tokens.load(tmp_path)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = open_index(tmp_path / "rag-1", EMBEDDER, create=True)
    yield opened
    opened.close()


def fill(index: Index, model: Counting, tokenizer: Tokens) -> tuple[Corpus, Told]:
    told: Told = []
    corpus = Corpus(RECORDS)
    Filler(model, tokenizer, threads=2).fill(index, corpus, lambda done, total: told.append((done, total)))
    return corpus, told


async def test_pieces_are_found_and_counted_as_the_passages_they_are_of(
    index: Index, model: Counting, tokenizer: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 3)
    corpus, told = fill(index, model, tokenizer)
    assert told == [(3, 4), (4, 4)]
    assert corpus.pieces == 5

    async def embed(text: str) -> bytes:
        return model.embed(model.tokenize([text]))[0]

    hits = await Searcher(embed).search(index, Query("dog", k=10))
    assert len(hits) == 5
    ranking = corpus.ranking(hits, 10)
    assert sorted(ranking) == ["a", "b", "c", "d"]
    assert ranking[0] in {"a", "c"}
    assert corpus.ranking(hits, 2) == ranking[:2]
    assert all(hit.passage.tokens <= tokenizer.window for hit in hits)


def test_a_second_run_and_one_that_goes_on_embed_only_what_is_missing(
    index: Index, model: Counting, tokenizer: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD", 2)
    fill(index, model, tokenizer)
    all_of_it = model.embedded
    fill(index, model, tokenizer)
    assert model.embedded == all_of_it
    first = next(iter(index.documents()))
    index.remove(first.id)
    fill(index, model, tokenizer)
    assert model.embedded == all_of_it + first.chunks


def test_a_word_longer_than_the_embedder_reads_is_cut_too(index: Index, model: Counting, tokenizer: Tokens) -> None:
    corpus = Corpus([Record("a", "cat:" * 40 + " dog")])
    Filler(model, tokenizer, threads=1).fill(index, corpus, lambda *_: None)
    assert corpus.pieces > 2


def test_a_long_title_over_little_text_is_one_piece(index: Index, model: Counting, tokenizer: Tokens) -> None:
    corpus = Corpus([Record("a", "cat", "dog " * 40), Record("b", "\x00", "dog " * 40)])
    Filler(model, tokenizer, threads=1).fill(index, corpus, lambda *_: None)
    assert corpus.pieces == 2


def test_the_place_depends_on_what_is_said_and_by_whom_it_is_embedded(tmp_path: Path) -> None:
    here = place_of(tmp_path, Corpus(RECORDS), EMBEDDER)
    assert here == place_of(tmp_path, Corpus(list(RECORDS)), EMBEDDER)
    assert here.parent == tmp_path / "scratch"
    assert here != place_of(tmp_path, Corpus(RECORDS[:2]), EMBEDDER)
    assert here != place_of(tmp_path, Corpus([Record("a", "dogcat", "cat"), *RECORDS[1:]]), EMBEDDER)
    assert here != place_of(tmp_path, Corpus(RECORDS), EmbedderId("tiny", "1" * 64, 4))


def test_only_the_places_used_last_are_kept(tmp_path: Path) -> None:
    others = [tmp_path / "scratch" / f"{module.PREFIX}{number}" for number in range(module.KEPT + 3)]
    for other in others:
        other.mkdir(parents=True)
    foreign = tmp_path / "scratch" / "something"
    foreign.mkdir()
    here = place_of(tmp_path, Corpus(RECORDS), EMBEDDER)
    here.mkdir()
    assert sum(other.exists() for other in others) == module.KEPT - 1
    assert foreign.exists()
    assert place_of(tmp_path, Corpus(RECORDS), EMBEDDER).exists()
