"""Puts labelled questions to one model in several forms and grades the answers. Knows no HTTP: it is handed a Backend.

A run is a file of JSON lines, one an answer: what was asked in which form, every token with its log-probability and
those of its alternatives, when the tokens came, what the answer cost, and whether it was right.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from headrace.contracts.chat import ChatCall, Chunk, Message
from headrace.contracts.errors import BackendError, ConfigError
from headrace.contracts.models import Price
from headrace.contracts.protocols import UpstreamCall
from headrace.router.training.graders import grade
from headrace.router.training.labelled import Question, rank

MAX_TOKENS: Final = 256
TOP_LOGPROBS: Final = 5
DEADLINE_S: Final = 1800.0
# Forms of asking: the answer itself, the same again later, the model's own word on its answer, and sampled answers.
GREEDY: Final = "greedy"
AGAIN: Final = "again"
CONFIDENCE: Final = "confidence"
SAMPLE: Final = "sample-"
# No top_p: on a CPU, sorting a vocabulary of 150,000 for every token takes longer than the model itself.
SAMPLING: Final = {"temperature": 0.7}
ASK_CONFIDENCE: Final = "How likely is it that your answer is right? Reply with one number from 0 to 100 only."
CONFIDENCE_TOKENS: Final = 8
ANSWER_SCHEMA: Final = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
_PERCENT = re.compile(r"\d+(?:\.\d+)?")


class Streamer(Protocol):
    """The part of contracts.Backend that recording needs."""

    def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield batches of chunks."""
        ...


class Row(msgspec.Struct, frozen=True):
    """One recorded answer, in natural logs and seconds.

    tops[i]: log-probabilities of the likeliest tokens at place i. token_s[i]: when token i arrived after the request
    was sent; ttft_s is the first of them. started_s: Unix time. correct: for form "confidence", of the answer judged.
    """

    question_id: str
    kind: str
    model: str
    form: str
    as_json: bool
    correct: bool
    text: str
    finish_reason: str
    tokens: list[str]
    logprobs: list[float]
    tops: list[list[float]]
    token_s: list[float]
    prompt_tokens: int
    completion_tokens: int
    cost_microusd: int
    started_s: float
    ttft_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Asking:
    """How a run asks: which model, at which price, how many requests at once, and the clocks.

    clock: monotonic seconds. wall: Unix time. pauses_s: before each further try of a request that failed.
    """

    model: str
    price: Price
    at_once: int
    clock: Callable[[], float]
    wall: Callable[[], float]
    pauses_s: Sequence[float] = (1.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to make: a question in a form."""

    question: Question
    form: str

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells this request from every other of the run."""
        return self.question.question_id, self.form


def plan(questions: Sequence[Question], *, samples: int, sampled: int, repeat: int) -> list[tuple[Ask, ...]]:
    """Return the requests of a run as chains: what stands later in a chain needs the answer before it.

    Every question greedily, in a fixed order that mixes the kinds; the first `sampled` also with a confidence and
    `samples` sampled answers; the first `repeat` greedily once more, at the end.
    """
    ordered = sorted(questions, key=lambda one: rank(f"sampled {one.question_id}"))
    chosen = ordered[:sampled] if samples else []
    told = {one.question_id for one in chosen}
    chains: list[tuple[Ask, ...]] = [
        (Ask(one, GREEDY), Ask(one, CONFIDENCE)) if one.question_id in told else (Ask(one, GREEDY),) for one in ordered
    ]
    chains += [(Ask(one, f"{SAMPLE}{number}"),) for number in range(1, samples + 1) for one in chosen]
    chains += [(Ask(one, AGAIN),) for one in ordered[:repeat]]
    return chains


async def record(
    backend: Streamer,
    chains: Iterable[Sequence[Ask]],
    asking: Asking,
    *,
    kept: Iterable[Row],
    on_row: Callable[[Row], None],
) -> list[Row]:
    """Make every request that `kept` does not answer yet, `at_once` chains at a time; return the new rows."""
    known = {(row.question_id, row.form): row for row in kept}
    waiting = iter(chains)
    fresh: list[Row] = []

    async def work() -> None:
        for chain in waiting:
            before: Row | None = None
            for ask in chain:
                row = known.get(ask.key)
                if row is None:
                    row = await _persistently(backend, ask, before, asking)
                    fresh.append(row)
                    on_row(row)
                before = row

    async with asyncio.TaskGroup() as group:
        for _ in range(asking.at_once):
            group.create_task(work())
    return fresh


def append_row(path: Path, row: Row) -> None:
    """Keep one row of a run that is under way, so that an interruption loses nothing."""
    with path.open("ab") as sink:
        sink.write(msgspec.json.encode(row) + b"\n")


def kept_rows(path: Path) -> list[Row]:
    """Return the rows of a run; a last line cut short is taken off the file. ConfigError for any other bad line."""
    if not path.exists():
        return []
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        with path.open("r+b") as file:
            file.truncate(whole)
    return list(_decoded(path, raw[:whole]))


def call_of(ask: Ask, model: str, said: str = "") -> ChatCall:
    """Return the request for one form of asking: bounded, streamed; `said` is the answer a confidence is asked for."""
    turns = [Message("user", ask.question.text)]
    wire: dict[str, Any] = {"temperature": 0, "max_tokens": MAX_TOKENS}
    response_format = None
    if ask.form == CONFIDENCE:
        turns += [Message("assistant", said), Message("user", ASK_CONFIDENCE)]
        wire["max_tokens"] = CONFIDENCE_TOKENS
    elif ask.question.as_json:
        gold = ask.question.gold
        schema = {"name": "answer", "schema": gold.get("schema", ANSWER_SCHEMA), "strict": True}
        response_format = {"type": "json_schema", "json_schema": schema}
        wire["response_format"] = response_format
    if ask.form.startswith(SAMPLE):
        wire |= {**SAMPLING, "seed": int(ask.form.removeprefix(SAMPLE))}
    wire["messages"] = [{"role": turn.role, "content": turn.text} for turn in turns]
    return ChatCall(
        model=model,
        endpoint="chat",
        messages=tuple(turns),
        wire=wire,
        stream=True,
        max_tokens=wire["max_tokens"],
        logprobs=True,
        top_logprobs=TOP_LOGPROBS,
        response_format=response_format,
    )


def stated_confidence(text: str) -> float | None:
    """Return the probability of 0..1 that a reply to ASK_CONFIDENCE states, None unless it is the only number."""
    found = _PERCENT.findall(text)
    percent = float(found[0]) if len(found) == 1 else -1.0
    return percent / 100.0 if 0.0 <= percent <= 100.0 else None  # noqa: PLR2004  (the scale asked for)


async def _persistently(backend: Streamer, ask: Ask, before: Row | None, asking: Asking) -> Row:
    """Ask again after a failure of the backend, a few times: one lost connection must not end a run of hours."""
    for pause_s in asking.pauses_s:
        try:
            return await _answer(backend, ask, before, asking)
        except BackendError:
            await asyncio.sleep(pause_s)
    return await _answer(backend, ask, before, asking)


async def _answer(backend: Streamer, ask: Ask, before: Row | None, asking: Asking) -> Row:
    reply = _Reply()
    started_s, started = asking.wall(), asking.clock()
    chat = call_of(ask, asking.model, before.text if before else "")
    request_id = f"rec_{rank(' '.join(ask.key))[:16]}"
    call = UpstreamCall(chat, probe=True, deadline=started + DEADLINE_S, request_id=request_id)
    async for batch in backend.stream(call):
        reply.take(batch, round(asking.clock() - started, 4))
    seconds = round(asking.clock() - started, 4)
    text = "".join(reply.text)
    correct = before.correct if before else await asyncio.to_thread(grade, ask.question, text)
    completion_tokens = reply.completion_tokens or len(reply.tokens)
    return Row(
        question_id=ask.question.question_id,
        kind=ask.question.kind,
        model=asking.model,
        form=ask.form,
        as_json=ask.question.as_json,
        correct=correct,
        text=text,
        finish_reason=reply.finish_reason,
        tokens=reply.tokens,
        logprobs=reply.logprobs,
        tops=reply.tops,
        token_s=reply.token_s,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=completion_tokens,
        cost_microusd=asking.price.cost_microusd(reply.prompt_tokens, completion_tokens),
        started_s=round(started_s, 3),
        ttft_s=reply.token_s[0] if reply.token_s else seconds,
        seconds=seconds,
    )


class _Reply:
    """What a stream has brought so far."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.tokens: list[str] = []
        self.logprobs: list[float] = []
        self.tops: list[list[float]] = []
        self.token_s: list[float] = []
        self.finish_reason = ""
        self.prompt_tokens = self.completion_tokens = 0

    def take(self, batch: Sequence[Chunk], now: float) -> None:
        for chunk in batch:
            if chunk.usage:
                self.prompt_tokens = chunk.usage.prompt_tokens
                self.completion_tokens = chunk.usage.completion_tokens
            for choice in chunk.choices:
                self.text.append(choice.delta.get("content") or "")
                self.finish_reason = choice.finish_reason or self.finish_reason
                # Rounding keeps the sign of what is nearly 0: an exact 0.0 is a token that a grammar decided.
                for entry in (choice.logprobs.content if choice.logprobs else None) or []:
                    self.tokens.append(entry.token)
                    self.logprobs.append(round(entry.logprob, 4))
                    self.tops.append([round(one.logprob, 4) for one in entry.top_logprobs])
                    self.token_s.append(now)


def _decoded(path: Path, raw: bytes) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(Row)
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as exc:
            raise ConfigError(f"{path}:{number}: not a recorded answer ({exc}); remove the line or the file") from exc
