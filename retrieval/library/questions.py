"""Questions as vectors: asked of the embedding worker, cut to what it reads where they are longer."""

import asyncio
from collections.abc import Callable

from headrace.contracts.chat import EmbeddingCall
from headrace.contracts.protocols import Embedder
from headrace.retrieval.chunk.tokens import Tokenizer
from headrace.retrieval.search.questions import fitted


class Questions:
    """Embeds questions. Safe to share between tasks. tokenizer: loads that of the embedder, on a thread."""

    def __init__(self, embedder: Embedder, tokenizer: Callable[[], Tokenizer]) -> None:
        self._embedder = embedder
        self._tokenizer = tokenizer

    async def vector(self, text: str) -> bytes:
        """Return the vector of a question; of a long one, that of its beginning."""
        asked = await asyncio.to_thread(lambda: fitted(text, self._tokenizer()))
        return (await self._embedder.embed(EmbeddingCall(self._embedder.card.id, [asked]))).vectors[0]
