"""Which log-probabilities of an answer say something about it. Live judging and calibration runs use the same rules.

Entries of `logprobs.content` are counted, never chunks or text. Tokens of reasoning are no evidence. Of JSON (answers
in a response format, arguments of tool calls) only tokens that carry values are; and there an exact 0.0, the
probability 1 of a token that a grammar left as the only one, is none either.
"""

from collections.abc import Iterable, Sequence

from headrace.contracts.chat import Choice, ChunkChoice, JsonObject, TokenLogprob
from headrace.router.cascade.json_values import ValueScanner


class Evidence:
    """Collects the evidence of one running answer. `values` are natural logs, oldest first."""

    __slots__ = ("_answer", "_arguments", "values")

    def __init__(self, *, json: bool) -> None:
        self._answer = ValueScanner(counts_bare_text=True) if json else None
        self._arguments: ValueScanner | None = None
        self.values: list[float] = []

    def add(self, choice: ChunkChoice) -> int:
        """Take what a chunk brings; return how many values that were."""
        if choice.logprobs is None or not choice.logprobs.content:
            return 0
        before = len(self.values)
        self.take(choice.logprobs.content, choice.delta)
        return len(self.values) - before

    def take(self, entries: Sequence[TokenLogprob], said: JsonObject) -> None:
        """Take entries and the delta or message that they wrote."""
        text = said.get("content") or ""
        if not said.get("tool_calls"):
            spoken = _ending(entries, text) if reasoning_text(said) else entries
            self.values.extend(_values(spoken, self._answer))
            return
        self._arguments = self._arguments or ValueScanner(counts_bare_text=False)
        until = _length(entries, text)
        self.values.extend(_values(entries[:until], self._answer))
        self.values.extend(_values(entries[until:], self._arguments))


def answer_evidence(choice: Choice, *, json: bool) -> list[float]:
    """Return the evidence of a whole answer, as Evidence would have collected it."""
    evidence = Evidence(json=json)
    if choice.logprobs is not None and choice.logprobs.content:
        evidence.take(choice.logprobs.content, choice.message)
    return evidence.values


def reasoning_text(said: JsonObject) -> str:
    """Return the reasoning in a delta or message, under either of its names."""
    return said.get("reasoning") or said.get("reasoning_content") or ""


def _length(entries: Sequence[TokenLogprob], text: str) -> int:
    """Return how many of the first entries it takes to write the text."""
    missing = len(text.strip())
    taken = 0
    while taken < len(entries) and missing > 0:
        missing -= len(entries[taken].token)
        taken += 1
    return taken


def _values(entries: Iterable[TokenLogprob], scanner: ValueScanner | None) -> list[float]:
    if scanner is None:
        return [entry.logprob for entry in entries]
    return [entry.logprob for entry in entries if scanner.feed(entry.token) and entry.logprob != 0.0]


def _ending(entries: Sequence[TokenLogprob], text: str) -> Sequence[TokenLogprob]:
    """Return the last entries, as many as it takes to write the text; what stands before them is reasoning."""
    missing = len(text.strip())
    start = len(entries)
    while start and missing > 0:
        start -= 1
        missing -= len(entries[start].token)
    return entries[start:]
