"""Token counts that can be believed: the engine's where they are possible, ours (marked) where not. Pure."""

from collections.abc import Sequence

from headrace.contracts.chat import ChatCall, Chunk, Completion, EstimatedUsage, JsonObject, Usage

_BYTES_PER_TOKEN = 4
_TOKENS_PER_TURN = 4
_DETAILS = frozenset(
    {"cached_tokens", "audio_tokens", "reasoning_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"}
)


class Tally:
    """Counts one answer as it passes. One per attempt; not safe to share.

    most_tokens: what prompt or completion cannot exceed (context length times choices).
    """

    __slots__ = ("_chat", "_ended", "_indexes", "_most_tokens", "_reported", "_tokens")

    def __init__(self, chat: ChatCall, context_tokens: int) -> None:
        self._chat = chat
        self._most_tokens = context_tokens * max(chat.n, 1)
        self._tokens = 0
        self._ended = 0
        self._indexes: set[int] = set()
        self._reported: Usage | None = None

    def add(self, chunk: Chunk) -> bool:
        """Count the chunk; False when it only reports usage, which `final` gives once, at the end."""
        usage = chunk.usage
        if usage is not None:
            if self._is_possible(usage):
                self._reported = usage
            else:
                chunk.usage = None
            if not chunk.choices:
                return False
        for choice in chunk.choices:
            if choice.index:
                self._indexes.add(choice.index)
            if choice.finish_reason:
                self._ended += 1
            if choice.logprobs is not None and choice.logprobs.content:
                self._tokens += len(choice.logprobs.content)
            elif choice.delta and any(value for name, value in choice.delta.items() if name != "role"):
                self._tokens += 1
        return True

    @property
    def is_whole(self) -> bool:
        """True when every choice seen has ended with a finish reason."""
        return self._ended > len(self._indexes)

    def final(self) -> Usage:
        """Return the usage of the whole answer: the last believable report, else our own count."""
        if self._reported is not None:
            return _without_engine_words(self._reported)
        return _estimate(self._chat, self._tokens)

    def of(self, answer: Completion) -> Usage:
        """Return the usage of an answer that came whole."""
        if answer.usage is not None and self._is_possible(answer.usage):
            return _without_engine_words(answer.usage)
        return _estimate(self._chat, sum(_tokens_of(choice.message, choice.logprobs) for choice in answer.choices))

    def _is_possible(self, usage: Usage) -> bool:
        return 0 <= usage.prompt_tokens <= self._most_tokens and 0 <= usage.completion_tokens <= self._most_tokens


def _without_engine_words(usage: Usage) -> Usage:
    """Return the usage with only the details OpenAI names; engines add their own, and nulls."""
    usage.prompt_tokens_details = _named(usage.prompt_tokens_details)
    usage.completion_tokens_details = _named(usage.completion_tokens_details)
    return usage


def _named(details: JsonObject | None) -> JsonObject | None:
    kept = {name: value for name, value in (details or {}).items() if name in _DETAILS and isinstance(value, int)}
    return kept or None


def _estimate(chat: ChatCall, completion: int) -> EstimatedUsage:
    prompt = sum(_TOKENS_PER_TURN + _tokens_in(message.text) for message in chat.messages)
    return EstimatedUsage(prompt, completion, prompt + completion)


def _tokens_of(message: dict[str, object], logprobs: object) -> int:
    content = getattr(logprobs, "content", None)
    if isinstance(content, Sequence) and content:
        return len(content)
    return sum(_tokens_in(str(value)) for key, value in message.items() if value and key != "role")


def _tokens_in(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)
