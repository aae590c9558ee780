from pathlib import Path

import pytest

from headrace.contracts.retrieval import EmbedderId
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.collection.open import open_index
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.search.beir import Dataset, Record
from headrace.retrieval.search.corpus import Corpus, Filler
from headrace.retrieval.search.evaluate import SYSTEMS, Outcome, Trial, drawn, evaluate, is_for_choosing
from headrace.retrieval.search.metrics import Scores
from headrace.retrieval.search.rerank import CrossEncoder
from headrace.retrieval.search.search import Searcher, SearchSettings
from tests.support.tiny_embedding import write_model
from tests.support.tiny_reranker import write_reranker

DATASET = Dataset(
    [Record("cats", "cat cat dog"), Record("taxes", "tax law"), Record("dogs", "dog dog dog")],
    [Record("q1", "cat"), Record("q2", "law")],
    {"q1": {"cats": 1}, "q2": {"taxes": 1}},
)


async def test_every_system_answers_every_question_and_is_timed(tmp_path: Path) -> None:
    for folder, write in (("embedder", write_model), ("reranker", write_reranker)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder)
    model, tokenizer = EmbeddingModel(tmp_path / "embedder", threads=1), Tokens.load(tmp_path / "embedder")
    index, corpus = open_index(tmp_path / "rag", EmbedderId("tiny", "0" * 64, 4), create=True), Corpus(DATASET.corpus)
    Filler(model, tokenizer, threads=1).fill(index, corpus, lambda *_: None)

    async def embed(text: str) -> bytes:
        return model.embed(model.tokenize([text]))[0]

    settings = SearchSettings(rerank_weight=9.0, rerank_within_s=60)
    searcher = Searcher(embed, reranker=CrossEncoder(tmp_path / "reranker"), settings=settings)
    told: list[tuple[int, int]] = []
    seconds = iter(range(1_000))
    outcomes = await evaluate(
        Trial(DATASET, corpus, index, searcher),
        list(SYSTEMS),
        lambda done, total: told.append((done, total)),
        clock=lambda: float(next(seconds)),
    )
    index.close()
    assert list(outcomes) == ["lexical", "dense", "hybrid", "hybrid+rerank"]
    assert told == [(done, 8) for done in range(1, 9)]
    assert {outcome.ms_per_query for outcome in outcomes.values()} == {1000.0}
    assert outcomes["dense"].values("recall") == [1.0, 1.0]
    for system in ("lexical", "hybrid"):
        assert outcomes[system].values("ndcg") == [1.0, 1.0]
        assert outcomes[system].interval("mrr").low == 1.0
    # The tiny cross-encoder likes cats and dogs whatever the question.
    assert outcomes["hybrid+rerank"].scores["q1"] == Scores(1.0, 1.0, 1.0)
    assert outcomes["hybrid+rerank"].scores["q2"].mrr == pytest.approx(1 / 3)


def test_fewer_questions_are_the_same_ones_each_time() -> None:
    questions = [Record(f"q{number}", "cat") for number in range(50)]
    dataset = Dataset(DATASET.corpus, questions, {})
    ten, twenty = drawn(dataset, 10), drawn(dataset, 20)
    assert len(ten.queries) == 10
    assert ten == drawn(dataset, 10)
    assert {query.id for query in ten.queries} < {query.id for query in twenty.queries}
    assert drawn(dataset, None) is dataset
    assert drawn(dataset, 50) is dataset


def test_questions_are_halved_by_their_ids() -> None:
    assert 400 < sum(is_for_choosing(f"q{number}") for number in range(1_000)) < 600


def test_figures_are_taken_by_name() -> None:
    outcome = Outcome({"q": Scores(0.1, 0.2, 0.3)}, 5.0)
    assert [outcome.values("ndcg"), outcome.values("recall"), outcome.values("mrr")] == [[0.1], [0.2], [0.3]]
