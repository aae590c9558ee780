"""Counts what an attempt used: tokens from the engine's usage, else from log-probability entries, else from text."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from headrace.contracts.chat import Chunk, Completion, EstimatedUsage, JsonObject, Usage

CHARS_PER_TOKEN: Final = 4  # of English text under byte-pair vocabularies, about


class Tally:
    """Running count of one attempt. prompt_tokens: an estimate, used only when the engine reports none.

    Not safe to share between tasks that run at once.
    """

    __slots__ = ("_chars", "_clock", "_entries", "_expected_prompt", "first_token_at", "has_answered", "usage")

    def __init__(self, prompt_tokens: int, clock: Callable[[], float]) -> None:
        self._expected_prompt = prompt_tokens
        self._clock = clock
        self._entries = 0
        self._chars = 0
        self.usage: Usage | None = None
        self.has_answered = False
        self.first_token_at: float | None = None

    def add(self, batch: Sequence[Chunk]) -> None:
        """Count a batch of a stream. Usage is cumulative, so the newest one replaces the one before."""
        self.has_answered = True
        for chunk in batch:
            if chunk.usage is not None:
                self.usage = chunk.usage
            for choice in chunk.choices:
                if choice.logprobs is not None and choice.logprobs.content:
                    self._entries += len(choice.logprobs.content)
                text = choice.delta.get("content")
                self._chars += len(text) if text else _other_chars(choice.delta)
        if self.first_token_at is None and (self._chars or self._entries):
            self.first_token_at = self._clock()

    def add_whole(self, completion: Completion) -> None:
        """Count a whole answer."""
        self.has_answered = True
        self.usage = completion.usage
        for choice in completion.choices:
            if choice.logprobs is not None and choice.logprobs.content:
                self._entries += len(choice.logprobs.content)
            self._chars += len(choice.message.get("content") or "") + _other_chars(choice.message)
        self.first_token_at = self._clock()

    @property
    def prompt_tokens(self) -> int:
        """Tokens read; 0 while the engine has given no sign of having read them."""
        if self.usage is not None:
            return self.usage.prompt_tokens
        return self._expected_prompt if self.has_answered else 0

    @property
    def completion_tokens(self) -> int:
        """Tokens written, over all choices."""
        if self.usage is not None:
            return self.usage.completion_tokens
        return self._entries or math.ceil(self._chars / CHARS_PER_TOKEN)

    @property
    def is_estimated(self) -> bool:
        """True when a figure is not the engine's own."""
        if self.usage is None:
            return self.has_answered
        return isinstance(self.usage, EstimatedUsage)

    @property
    def chars(self) -> int:
        """Characters of text, reasoning and tool arguments so far."""
        return self._chars

    def as_usage(self) -> Usage:
        """Return the count in OpenAI's shape: the engine's own where there is one."""
        if self.usage is not None:
            return self.usage
        prompt, completion = self.prompt_tokens, self.completion_tokens
        return EstimatedUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _other_chars(delta: JsonObject) -> int:
    """Return the length of generated text outside `content`: reasoning and tool calls."""
    chars = len(delta.get("reasoning") or delta.get("reasoning_content") or "")
    for tool_call in delta.get("tool_calls") or ():
        function = tool_call.get("function") or {}
        chars += len(function.get("name") or "") + len(function.get("arguments") or "")
    return chars
