from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from headrace.contracts.errors import BackendUnavailable
from headrace.contracts.retrieval import Chunk, Compare, Document, EmbedderId, Hit, Index, Query
from headrace.retrieval.collection.open import open_index
from headrace.retrieval.search.search import Searcher, SearchSettings, blended

TEXTS = (
    "the dam stands above the town",
    "a river runs past the dam",
    "the tax on water is due in may",
    "boats are let by the hour",
    "boats are let by the hour!",
)
AXES = ("dam", "river", "tax", "boat")


def vector(text: str) -> bytes:
    return array("f", [float(axis in text) + 0.05 for axis in AXES]).tobytes()


async def embed(text: str) -> bytes:
    return vector(text)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = open_index(tmp_path / "vs_1", EmbedderId("tiny", "0" * 64, len(AXES)), create=True)
    for number, text in enumerate(TEXTS):
        chunk = Chunk(text, 0, len(text), len(text.split()))
        document = Document(f"file-{number}", f"{number}.txt", "0" * 64, text, (chunk,), {"number": float(number)})
        opened.put(document, [vector(text)])
    yield opened
    opened.close()


class Likes:
    """A reranker that likes passages with a word; reads at most `most`."""

    def __init__(self, word: str, most: int = 100) -> None:
        self.word, self.most = word, most
        self.asked: list[tuple[str, float]] = []

    def score(self, query: str, passages: Sequence[str], *, deadline: float) -> list[float]:
        """Count, and like."""
        self.asked.append((query, deadline))
        return [8.0 if self.word in passage else -8.0 for passage in passages[: self.most]]


def texts(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.text for hit in hits]


async def test_words_and_vectors_find_together_and_every_stage_is_told(index: Index) -> None:
    hits = await Searcher(embed).search(index, Query("where is the dam above the town", k=3))
    assert texts(hits)[0] == TEXTS[0]
    assert set(hits[0].stages) == {"lexical", "dense", "hybrid"}
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)


async def test_one_mode_asks_one_list(index: Index) -> None:
    async def fail(_: str) -> bytes:
        raise BackendUnavailable("the embedding worker is not running")

    (hit,) = await Searcher(fail).search(index, Query("tax", mode="lexical"))
    assert (hit.passage.text, set(hit.stages)) == (TEXTS[2], {"lexical"})
    hits = await Searcher(embed).search(index, Query("tax", mode="dense", k=1))
    assert texts(hits) == [TEXTS[2]]
    assert hits[0].score == pytest.approx(hits[0].stages["dense"])
    with pytest.raises(BackendUnavailable):
        await Searcher(fail).search(index, Query("tax"))


async def test_a_score_does_not_depend_on_what_else_there_is(index: Index) -> None:
    query = Query("where is the dam above the town", k=1)
    (among_five,) = await Searcher(embed).search(index, query)
    (alone,) = await Searcher(embed).search(index, msgspec.structs.replace(query, where=Compare("number", "eq", 0.0)))
    assert alone.passage.id == among_five.passage.id
    assert alone.score == pytest.approx(among_five.score)
    assert alone.score > 0.7


async def test_near_copies_are_shown_once_unless_all_are_wanted(index: Index) -> None:
    assert len(await Searcher(embed).search(index, Query("boats by the hour"))) == 4
    every = Searcher(embed, settings=SearchSettings(are_distinct=False))
    assert len(await every.search(index, Query("boats by the hour"))) == 5


async def test_weak_hits_and_those_that_the_filter_bars_are_left_out(index: Index) -> None:
    searcher = Searcher(embed)
    hits = await searcher.search(index, Query("dam", k=5))
    floor = hits[1].score
    assert len(await searcher.search(index, Query("dam", min_score=floor))) == 2
    assert await searcher.search(index, Query("dam", min_score=1.0)) == []
    (only,) = await searcher.search(index, Query("dam", where=Compare("number", "eq", 2.0)))
    assert only.passage.text == TEXTS[2]
    assert await searcher.search(index, Query("dam", where=Compare("number", "eq", 9.0))) == []


async def test_a_reranker_moves_passages_and_scores_still_never_rise(index: Index) -> None:
    query = Query("the dam and the river", k=2)
    plain = await Searcher(embed).search(index, query)
    reranked = Searcher(embed, reranker=Likes("tax"), settings=SearchSettings(rerank_weight=9.0))
    hits = await reranked.search(index, msgspec.structs.replace(query, rerank=True))
    assert texts(hits)[0] == TEXTS[2]
    assert hits[0].score == max(hit.score for hit in hits) == plain[0].score
    assert hits[0].stages["rerank"] > 0.99
    assert await reranked.search(index, query) == plain


async def test_what_the_reranker_has_not_read_keeps_its_place(index: Index) -> None:
    query = Query("the dam and the river", k=5)
    plain = texts(await Searcher(embed).search(index, query))
    settings = SearchSettings(rerank=True, rerank_weight=9.0)
    reranker = Likes("no such word", most=0)
    assert texts(await Searcher(embed, reranker=reranker, settings=settings).search(index, query)) == plain
    assert [asked for asked, _ in reranker.asked] == [query.text]
    refused = await Searcher(embed, reranker=reranker, settings=settings).search(
        index, msgspec.structs.replace(query, rerank=False)
    )
    assert (texts(refused), len(reranker.asked)) == (plain, 1)
    swapped = await Searcher(embed, reranker=Likes(plain[1], most=2), settings=settings).search(index, query)
    assert texts(swapped) == [plain[1], plain[0], *plain[2:]]


def test_blending_weighs_both_opinions_by_their_spread() -> None:
    assert blended([3.0, 2.0, 1.0], [0.0, 50.0, 1.0], 1.0) == [1, 0, 2]
    assert blended([3.0, 2.0, 1.0], [0.0, 50.0, 1.0], 0.0) == [0, 1, 2]
    assert blended([1.0, 1.0], [2.0, 2.0], 1.0) == [0, 1]
    assert blended([], [], 1.0) == []
