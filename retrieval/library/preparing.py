"""One file on its way into an index: converted and cut in a locked-down process, embedded by the embedding worker."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from headrace.contracts.chat import EmbeddingCall
from headrace.contracts.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    EngineError,
    InvalidRequest,
    Overloaded,
)
from headrace.contracts.protocols import Embedder
from headrace.contracts.retrieval import Document
from headrace.retrieval.chunk.context import in_context
from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.chunk.tokens import Tokenizer
from headrace.retrieval.ingest.convert import Converter, read_file
from headrace.retrieval.library.intake import Prepared
from headrace.retrieval.library.records import Work

AT_ONCE: Final = 16  # texts in one call: a question that comes meanwhile waits for no more than these
PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
_PASSING: Final = (BackendUnavailable, BackendTimeout, EngineError, Overloaded)


class FilePreparer:
    """Implements intake.Preparer. One file at a time; files of different tenants never share a converting process.

    converter, tokenizer: of the embedder; the tokenizer is loaded on a thread. pause: waits before it is asked again.
    """

    def __init__(
        self,
        converter: Converter,
        tokenizer: Callable[[], Tokenizer],
        embedder: Embedder,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._converter = converter
        self._tokenizer = tokenizer
        self._embedder = embedder
        self._pause = pause
        self._tenant = ""

    async def prepare(self, work: Work, path: Path) -> Prepared:
        """Return the file ready for an index; InvalidRequest where it cannot be read."""
        try:
            document, texts = await asyncio.to_thread(self._cut, work, path)
        except asyncio.CancelledError:
            self._converter.stop()
            self._tenant = ""  # what was stopped is not asked again
            raise
        vectors: list[bytes] = []
        for start in range(0, len(texts), AT_ONCE):
            vectors += await self._embed(texts[start : start + AT_ONCE])
        return Prepared(document, vectors)

    async def close(self) -> None:
        """End what runs and give everything back."""
        self._converter.stop()
        await asyncio.to_thread(self._converter.close)

    def _cut(self, work: Work, path: Path) -> tuple[Document, list[str]]:
        if work.file.tenant != self._tenant:
            self._converter.close()
            self._tenant = work.file.tenant
        sizes = Sizes(work.chunking.max_tokens, work.chunking.overlap)
        converted, chunks = self._converter.cut(read_file(path, self._converter.limits), work.file.name, sizes)
        if not chunks:
            raise InvalidRequest("holds no text", code="empty_file")
        document = Document(work.file.id, work.file.name, work.file.sha256, converted.text, chunks)
        return document, in_context(chunks, self._tokenizer())

    async def _embed(self, texts: Sequence[str]) -> Sequence[bytes]:
        """Return a vector for each text; while the embedder is away, it is asked again for a minute and a half."""
        call = EmbeddingCall(self._embedder.card.id, texts)
        for pause_s in PAUSES_S:
            try:
                return (await self._embedder.embed(call)).vectors
            except _PASSING:
                await self._pause(pause_s)
            except InvalidRequest as exc:
                raise BackendError(f"the embedding model refused a passage: {exc.message}") from exc
        return (await self._embedder.embed(call)).vectors
