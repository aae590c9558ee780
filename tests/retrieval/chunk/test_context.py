from headrace.contracts.retrieval import Chunk
from headrace.retrieval.chunk.context import in_context
from tests.support.counting import word_tokens


def test_a_chunk_is_embedded_under_its_headings_where_both_fit() -> None:
    fits, long, bare = Chunk("a b", 0, 3, 2, "Guide"), Chunk("a b c d", 0, 7, 4, "Guide"), Chunk("x", 0, 1, 1)
    assert in_context([fits, long, bare], word_tokens(max_tokens=6)) == ["Guide\na b", "a b c d", "x"]
