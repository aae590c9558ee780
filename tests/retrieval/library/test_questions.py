from functools import partial
from pathlib import Path

from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.library.questions import Questions
from tests.support.stores import embedder_in


async def test_a_question_is_embedded_as_it_is(tmp_path: Path) -> None:
    embedder = embedder_in(tmp_path)
    vector = await Questions(embedder, partial(Tokens.load, embedder.folder)).vector("what is a cat")
    assert len(vector) == 16
    assert embedder.texts == ["what is a cat"]


async def test_a_question_longer_than_the_embedder_reads_is_cut(tmp_path: Path) -> None:
    embedder = embedder_in(tmp_path)
    await Questions(embedder, partial(Tokens.load, embedder.folder)).vector("cat " * 2_000)
    (text,) = embedder.texts
    assert 240 <= len(text.split()) <= 254
