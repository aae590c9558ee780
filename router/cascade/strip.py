"""Gives the client the stream it asked for: no log-probabilities, usage, roles or empty deltas of our own making."""

from collections.abc import Sequence

import msgspec

from headrace.contracts.chat import ChatCall, Chunk, ChunkChoice, Completion, Logprobs, TokenLogprob
from headrace.router.cascade.tally import Tally


class Strip:
    """Shapes one stream. is_probed: the backend was asked for log-probabilities of our own. Chunks are not changed."""

    __slots__ = ("_call", "_has_role", "_is_probed", "_seen", "_usage_chunk")

    def __init__(self, call: ChatCall, *, is_probed: bool) -> None:
        self._call = call
        self._is_probed = is_probed
        self._has_role = call.endpoint == "chat"
        self._seen: set[int] = set()
        self._usage_chunk = Chunk()

    def apply(self, batch: Sequence[Chunk]) -> Sequence[Chunk]:
        """Return the batch as the client gets it; the very same object where nothing needs to go."""
        if self._is_probed:
            return self._shaped(batch)
        for chunk in batch:
            if chunk.usage is not None:
                return self._shaped(batch)
            for choice in chunk.choices:
                if choice.index not in self._seen or "role" in choice.delta:
                    return self._shaped(batch)
        return batch

    def tail(self, tally: Tally) -> Sequence[Chunk]:
        """Return what follows the last chunk: one chunk with usage and no choices, if the client asked for it."""
        if not self._call.include_usage:
            return ()
        last = self._usage_chunk
        return (Chunk(choices=[], usage=tally.as_usage(), id=last.id, created=last.created, model=last.model),)

    def _shaped(self, batch: Sequence[Chunk]) -> list[Chunk]:
        shaped: list[Chunk] = []
        for chunk in batch:
            self._usage_chunk = chunk
            choices = [kept for choice in chunk.choices if (kept := self._choice(choice)) is not None]
            if choices:
                shaped.append(Chunk(choices=choices, id=chunk.id, created=chunk.created, model=chunk.model))
        return shaped

    def _choice(self, choice: ChunkChoice) -> ChunkChoice | None:
        delta = choice.delta
        is_first = choice.index not in self._seen
        if is_first:
            self._seen.add(choice.index)
            if self._has_role and "role" not in delta:
                delta = {"role": "assistant", **delta}
        elif "role" in delta:
            delta = {key: value for key, value in delta.items() if key != "role"}
        logprobs = wanted_logprobs(choice.logprobs, self._call)
        if not is_first and choice.finish_reason is None and logprobs is None and not any(delta.values()):
            return None
        return ChunkChoice(index=choice.index, delta=delta, logprobs=logprobs, finish_reason=choice.finish_reason)


def strip_completion(completion: Completion, call: ChatCall, tally: Tally) -> Completion:
    """Return a whole answer with the log-probabilities the client asked for and with usage."""
    choices = [
        msgspec.structs.replace(choice, logprobs=wanted_logprobs(choice.logprobs, call))
        for choice in completion.choices
    ]
    return msgspec.structs.replace(completion, choices=choices, usage=tally.as_usage())


def wanted_logprobs(logprobs: Logprobs | None, call: ChatCall) -> Logprobs | None:
    """Return log-probabilities with as many alternatives as the client asked for; None when it asked for none."""
    if not call.logprobs or logprobs is None:
        return None
    wanted = call.top_logprobs or 0
    if all(len(entry.top_logprobs) <= wanted for entry in logprobs.content or ()):
        return logprobs
    return Logprobs(content=[_trimmed(entry, wanted) for entry in logprobs.content or ()], refusal=logprobs.refusal)


def _trimmed(entry: TokenLogprob, wanted: int) -> TokenLogprob:
    return msgspec.structs.replace(entry, top_logprobs=entry.top_logprobs[:wanted])
