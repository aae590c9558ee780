"""Questions as vectors: asked of the embedding worker, cut to what it reads where they are longer."""

import asyncio
from collections.abc import Callable

from headrace.contracts.chat import EmbeddingCall
from headrace.contracts.protocols import Embedder
from headrace.retrieval.chunk.tokens import Tokenizer


class Questions:
    """Embeds questions. Safe to share between tasks. tokenizer: loads that of the embedder, on a thread."""

    def __init__(self, embedder: Embedder, tokenizer: Callable[[], Tokenizer]) -> None:
        self._embedder = embedder
        self._tokenizer = tokenizer

    async def vector(self, text: str) -> bytes:
        """Return the vector of a question; of a long one, that of its beginning."""
        fitted = await asyncio.to_thread(self._fitted, text)
        return (await self._embedder.embed(EmbeddingCall(self._embedder.card.id, [fitted]))).vectors[0]

    def _fitted(self, text: str) -> str:
        tokenizer = self._tokenizer()
        while (tokens := tokenizer.count([text])[0]) > tokenizer.window:
            text = text[: min(len(text) - 1, len(text) * tokenizer.window // tokens)]
        return text
