"""What is embedded for a chunk: its text under its headings, where both fit the embedder's window. Pure."""

from collections.abc import Sequence

from headrace.contracts.retrieval import Chunk
from headrace.retrieval.chunk.tokens import Tokenizer


def in_context(chunks: Sequence[Chunk], tokenizer: Tokenizer) -> list[str]:
    """Return the text to embed for each chunk, none longer than the embedder reads."""
    headed = [f"{chunk.heading}\n{chunk.text}" if chunk.heading else chunk.text for chunk in chunks]
    counts = tokenizer.count(headed)
    return [
        text if count <= tokenizer.window else chunk.text
        for chunk, text, count in zip(chunks, headed, counts, strict=True)
    ]
