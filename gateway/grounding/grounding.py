"""What one request was grounded in: grows while it is answered, and is told of to the client and in the ledger."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headrace.contracts.chat import ChatCall, Choice, Completion, JsonObject, Usage
from headrace.contracts.errors import Overloaded
from headrace.contracts.retrieval import Hit
from headrace.contracts.routing import Retrieved
from headrace.gateway.grounding.citations import Checked, check
from headrace.gateway.grounding.context import Context, Shown
from headrace.gateway.grounding.wanted import Wanted
from headrace.gateway.ledger.record import RetrievalRecord
from headrace.router.policies.support import is_unsupported

REFUSAL = "I am sorry, but I found nothing in the documents that answers this."


@dataclass(slots=True)
class Times:
    """Seconds spent on each stage of one request's grounding."""

    probe_s: float = 0.0
    search_s: float = 0.0
    context_s: float = 0.0
    cite_s: float = 0.0


@dataclass(slots=True)
class Grounding:
    """One request and its documents. Used by one task.

    call: what goes to the models. question: what was searched for first. support: 0..1, None before any search.
    failure: the kind of error that was passed over. kept and dropped: citations of the answer.
    """

    wanted: Wanted
    question: str
    call: ChatCall
    clock: Callable[[], float]
    support: float | None = None
    shown: list[Shown] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    retrieved_tokens: int = 0
    failure: str = ""
    kept: int = 0
    dropped: int = 0
    times: Times = field(default_factory=Times)

    @property
    def is_unsupported(self) -> bool:
        """True when a search found nothing, or too little by the virtual model's configuration."""
        return is_unsupported(self.wanted.retrieve, self.support)

    @property
    def is_refused(self) -> bool:
        """True when the virtual model would rather say nothing than answer without support."""
        return self.wanted.retrieve.when_unsupported == "refuse" and self.is_unsupported

    @property
    def retrieved(self) -> Retrieved:
        """What the features of the request are told."""
        return Retrieved(self.support, self.retrieved_tokens)

    @property
    def asks_model(self) -> bool:
        """True when the model decides what is searched."""
        return self.wanted.when == "model"

    def pass_over(self, error: Overloaded) -> None:
        """Go on without documents where the virtual model says so; what the caller asked for itself is never left."""
        if self.wanted.is_own or self.wanted.retrieve.on_error == "fail":
            raise error
        self.failure = error.code or error.type

    def add(self, context: Context) -> None:
        """Note what a model is shown."""
        self.shown += context.shown
        self.retrieved_tokens += context.tokens

    def extras(self, answer: str) -> JsonObject:
        """Return the fields that an answer's message gets beside its words; takes milliseconds for a long answer."""
        checked = check(answer, self.shown, self.question) if self.shown else Checked()
        self.kept += len(checked.kept)
        self.dropped += checked.dropped
        fields: JsonObject = {"citations": [msgspec.to_builtins(one) for one in checked.kept]} if checked.kept else {}
        if self.call.shows_hits:
            fields["file_search_call"] = {"queries": self.queries, "results": [_result(hit) for hit in self.hits]}
        return fields

    def refusal(self) -> Completion:
        """Return the answer of no model."""
        said: dict[str, Any] = {"refusal": REFUSAL} if self.call.wants_json else {"content": REFUSAL}
        message = {"role": "assistant", "content": None, **said}
        choices = [Choice(index, dict(message), None, "stop") for index in range(self.call.n)]
        return Completion(choices, Usage(0, 0, 0))

    def record(self) -> RetrievalRecord:
        """Return what the ledger keeps: figures and ids, never a text."""
        times = self.times
        return RetrievalRecord(
            collections=self.wanted.collections,
            when=self.wanted.when,
            searches=len(self.queries),
            hits=len(self.hits),
            passages=len(self.shown),
            tokens=self.retrieved_tokens,
            support=None if self.support is None else round(self.support, 5),
            unsupported=self.wanted.retrieve.when_unsupported if self.is_unsupported else "",
            failure=self.failure,
            cited=self.kept,
            dropped=self.dropped,
            probe_s=round(times.probe_s, 6),
            search_s=round(times.search_s, 6),
            context_s=round(times.context_s, 6),
            cite_s=round(times.cite_s, 6),
        )


def _result(hit: Hit) -> JsonObject:
    passage = hit.passage
    return {
        "file_id": passage.document,
        "filename": passage.name,
        "score": hit.score,
        "text": passage.text,
        "attributes": dict(passage.attributes),
    }
