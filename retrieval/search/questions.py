"""Questions brought to a length that the embedder reads: their beginning."""

from headrace.retrieval.chunk.tokens import Tokenizer


def fitted(text: str, tokenizer: Tokenizer) -> str:
    """Return a text, or the beginning of it that the embedder takes whole."""
    while (tokens := tokenizer.count([text])[0]) > tokenizer.window:
        text = text[: min(len(text) - 1, len(text) * tokenizer.window // tokens)]
    return text
