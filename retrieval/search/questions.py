"""Questions brought to a length that the embedder reads: their beginning."""

from headrace.retrieval.chunk.tokens import Tokenizer


def fitted(text: str, tokenizer: Tokenizer) -> str:
    """Return the longest beginning of a text, found by halving, that the embedder takes whole."""
    most = tokenizer.window
    if tokenizer.count([text])[0] <= most:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        if tokenizer.count([text[:middle]])[0] <= most:
            low = middle
        else:
            high = middle
    return text[:low]
