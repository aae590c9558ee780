"""Seams between rooms. Implementations are built in gateway.wiring and passed in."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from headrace.contracts.chat import ChatCall, Chunk, Completion, EmbeddingCall, Usage
from headrace.contracts.models import ModelCard
from headrace.contracts.routing import Confidence, Difficulty


class UpstreamCall(msgspec.Struct, frozen=True):
    """One attempt as a backend sees it.

    probe: ask for token log-probabilities even if the client did not. deadline: loop-clock seconds at which to give up.
    request_id: made by the gateway, never the caller's. affinity: stable key for replica choice ("" = none).
    cache_salt: per-tenant, opaque; engines that isolate prefix caches get it.
    """

    chat: ChatCall
    probe: bool
    deadline: float
    request_id: str
    affinity: str = ""
    cache_salt: str = ""


class Backend(Protocol):
    """One model behind one or more endpoints. Safe to share between tasks.

    Raises BackendError subclasses, and DeadlineExceeded when the call's deadline passes. Closing the generator of
    `stream`, or cancelling `complete`, closes the upstream connection, which stops the engine's work.
    """

    @property
    def id(self) -> str:
        """The configured backend id."""
        ...

    @property
    def card(self) -> ModelCard:
        """What the model can do and costs."""
        ...

    def is_live(self) -> bool:
        """True while at least one endpoint takes requests."""
        ...

    def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield batches of chunks as they arrive (a batch is what one read brought; never held back).

        The last chunks carry `usage`; a stream that ends without a finish_reason raises BackendProtocol.
        `usage` on earlier chunks, where the engine sends it, is cumulative.
        """
        ...

    async def complete(self, call: UpstreamCall) -> Completion:
        """Return the whole answer."""
        ...


class Embeddings(msgspec.Struct, frozen=True):
    """vectors[i] belongs to inputs[i], float32 little-endian bytes, `dimensions` numbers each."""

    vectors: Sequence[bytes]
    dimensions: int
    usage: Usage


class Embedder(Protocol):
    """Embeds texts. Safe to share between tasks."""

    @property
    def card(self) -> ModelCard:
        """What the model can do and costs."""
        ...

    def is_live(self) -> bool:
        """True while the worker takes requests."""
        ...

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Embed every input; raises InvalidRequest for one over the model's context."""
        ...


class DifficultyModel(Protocol):
    """Judges a question before any model is called. Pure and fast (p99 2 ms for 2,000 characters)."""

    def judge(self, text: str) -> Difficulty:
        """Judge the text of the question."""
        ...


class AnswerJudge(Protocol):
    """Judges an answer of one model in one domain from what has been seen so far. Pure."""

    def prefix(self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float) -> Confidence:
        """Judge a running answer from its first tokens' log-probabilities (natural log, oldest first)."""
        ...

    def whole(
        self, logprobs: Sequence[float], *, model: str, domain: str, json: bool, max_risk: float, finish_reason: str
    ) -> Confidence:
        """Judge a finished answer."""
        ...

    def is_calibrated(self, *, model: str, domain: str) -> bool:
        """True when there is calibration data for this model and domain."""
        ...


class Admission(Protocol):
    """Bounds how much runs on a tier at once."""

    def slot(self, tier: str, *, deadline: float) -> AbstractAsyncContextManager[None]:
        """Wait for a place on the tier; Overloaded when its queue is full, DeadlineExceeded when time is up."""
        ...
