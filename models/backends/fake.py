"""A scripted in-process Backend with a meter: no sockets, no clock of its own. For tests, demos and dry runs."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.contracts.chat import Choice, Chunk, ChunkChoice, Completion, Logprobs, TokenLogprob, TopLogprob, Usage
from headrace.contracts.errors import BackendError
from headrace.contracts.models import ModelCard
from headrace.contracts.protocols import UpstreamCall

Token = str | tuple[str, float]


@dataclass(frozen=True, slots=True)
class Script:
    """One answer. tokens: text, or (text, logprob); tools: (name, JSON arguments) pairs.

    error is raised after `error_after` chunks (0: before anything). first_s and delay_s go to the backend's `sleep`.
    usage: "final" (one last chunk), "continuous" (cumulative on every chunk, too) or "none".
    """

    tokens: Sequence[Token] = ("Hello", " there", ".")
    finish_reason: str | None = "stop"
    tools: Sequence[tuple[str, str]] = ()
    error: BackendError | None = None
    error_after: int = 0
    first_s: float = 0.0
    delay_s: float = 0.0
    tokens_per_chunk: int = 1
    prompt_tokens: int = 7
    usage: str = "final"
    logprobs: bool = True
    logprob: float = -0.05


@dataclass(slots=True)
class Meter:
    """What the backend did; tokens are counted when they are handed out."""

    requests: int = 0
    running: int = 0
    finished: int = 0
    aborted: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class FakeBackend:
    """Implements contracts.protocols.Backend from scripts. Safe to share between tasks of one loop."""

    card: ModelCard
    script: Script = field(default_factory=Script)
    id: str = "fake"
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    live: bool = True
    calls: list[UpstreamCall] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)
    _queue: deque[Script] = field(default_factory=deque)

    def then(self, *scripts: Script) -> None:
        """Queue scripts for the next calls, in order."""
        self._queue.extend(scripts)

    def always(self, script: Script) -> None:
        """Set what answers once the queue is empty."""
        self.script = script

    def is_live(self) -> bool:
        """Tell what `live` says."""
        return self.live

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield one batch per scripted chunk."""
        script = self._begin(call)
        ended = False
        try:
            handed = 0
            for number, (chunk, tokens) in enumerate(_chunks(script, call)):
                if script.error is not None and number >= script.error_after:
                    break
                await self.sleep(script.delay_s if number else script.first_s)
                if number == 0:
                    self.meter.prompt_tokens += script.prompt_tokens
                handed += tokens
                self.meter.completion_tokens += tokens
                if script.usage == "continuous":
                    chunk.usage = _usage(script, handed)
                yield [chunk]
            ended = True
            if script.error is not None:
                self.meter.failed += 1
                raise script.error
            if script.usage != "none":
                yield [Chunk(usage=_usage(script, handed), id="fake", model=self.card.id)]
            self.meter.finished += 1
        finally:
            self.meter.running -= 1
            self.meter.aborted += not ended

    async def complete(self, call: UpstreamCall) -> Completion:
        """Return the scripted answer whole."""
        script = self._begin(call)
        ended = False
        try:
            await self.sleep(script.first_s)
            ended = True
            if script.error is not None:
                self.meter.failed += 1
                raise script.error
            per_choice = len(script.tokens) + 2 * len(script.tools)
            self.meter.prompt_tokens += script.prompt_tokens
            self.meter.completion_tokens += per_choice * call.chat.n
            self.meter.finished += 1
            usage = None if script.usage == "none" else _usage(script, per_choice * call.chat.n)
            choices = [_choice(index, script, call) for index in range(call.chat.n)]
            return Completion(choices=choices, usage=usage, id="fake", created=0, model=self.card.id)
        finally:
            self.meter.running -= 1
            self.meter.aborted += not ended

    def _begin(self, call: UpstreamCall) -> Script:
        self.calls.append(call)
        self.meter.requests += 1
        self.meter.running += 1
        return self._queue.popleft() if self._queue else self.script


def _chunks(script: Script, call: UpstreamCall) -> list[tuple[Chunk, int]]:
    made: list[tuple[Chunk, int]] = []

    def add(delta: dict[str, Any], tokens: Sequence[Token] = (), finish: str | None = None) -> None:
        for index in range(call.chat.n):
            choice = ChunkChoice(index=index, delta=dict(delta), finish_reason=finish)
            choice.logprobs = _logprobs(script, tokens, call) if tokens else None
            made.append((Chunk(choices=[choice], id="fake", model="fake"), len(tokens)))

    for start in range(0, len(script.tokens), script.tokens_per_chunk):
        group = script.tokens[start : start + script.tokens_per_chunk]
        text = "".join(_text(token) for token in group)
        add({"role": "assistant", "content": text} if start == 0 else {"content": text}, group)
    for index, (name, arguments) in enumerate(script.tools):
        opening = {"index": index, "id": f"call_{index}", "type": "function"}
        add({"tool_calls": [{**opening, "function": {"name": name, "arguments": ""}}]}, (name,))
        add({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}, (arguments,))
    if script.finish_reason is not None:
        add({}, finish="tool_calls" if script.tools else script.finish_reason)
    return made


def _choice(index: int, script: Script, call: UpstreamCall) -> Choice:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(_text(token) for token in script.tokens)}
    if script.tools:
        message["tool_calls"] = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(script.tools)
        ]
    reason = "tool_calls" if script.tools else script.finish_reason
    return Choice(index=index, message=message, logprobs=_logprobs(script, script.tokens, call), finish_reason=reason)


def _logprobs(script: Script, tokens: Sequence[Token], call: UpstreamCall) -> Logprobs | None:
    if not script.logprobs or not (call.probe or call.chat.logprobs):
        return None
    content = []
    for token in tokens:
        text, value = (token, script.logprob) if isinstance(token, str) else token
        top = [TopLogprob(text, value)][: call.chat.top_logprobs or 0]
        content.append(TokenLogprob(text, value, top_logprobs=top))
    return Logprobs(content=content)


def _usage(script: Script, completion: int) -> Usage:
    return Usage(script.prompt_tokens, completion, script.prompt_tokens + completion)


def _text(token: Token) -> str:
    return token if isinstance(token, str) else token[0]
