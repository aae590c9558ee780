"""Puts labelled questions to one model, once each, and grades the answers. Knows no HTTP: it is handed a Backend.

A run is a list of rows, one a question, as JSON lines: what was asked, every token with its log-probability, when the
tokens came, and whether the answer was right.
"""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from headrace.contracts.chat import ChatCall, Chunk, Message
from headrace.contracts.protocols import UpstreamCall
from headrace.router.training.graders import grade
from headrace.router.training.labelled import Question

MAX_TOKENS: Final = 256
DEADLINE_S: Final = 900.0
ANSWER_SCHEMA: Final = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


class Streamer(Protocol):
    """The part of contracts.Backend that recording needs."""

    def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield batches of chunks."""
        ...


class Row(msgspec.Struct, frozen=True):
    """One recorded answer. token_s[i] is when token i arrived, in seconds after the request was sent."""

    question_id: str
    kind: str
    model: str
    as_json: bool
    correct: bool
    text: str
    finish_reason: str
    tokens: list[str]
    logprobs: list[float]
    token_s: list[float]
    prompt_tokens: int
    seconds: float


async def record(
    backend: Streamer,
    model: str,
    questions: Sequence[Question],
    *,
    at_once: int,
    clock: Callable[[], float],
    on_row: Callable[[Row], None],
) -> list[Row]:
    """Ask every question greedily, `at_once` at a time, and return the graded rows in the order of the questions."""
    places = asyncio.Semaphore(at_once)

    async def one(number: int, question: Question) -> Row:
        async with places:
            row = await _ask(backend, model, question, number, clock)
        on_row(row)
        return row

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, question)) for number, question in enumerate(questions)]
    return [task.result() for task in tasks]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a finished run as .jsonl.gz; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(lines, mtime=0))


def read_rows(path: Path) -> list[Row]:
    """Read a run."""
    decoder = msgspec.json.Decoder(Row)
    return [decoder.decode(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def append_row(path: Path, row: Row) -> None:
    """Keep one row of a run that is under way, so that an interruption loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as sink:
        sink.write(msgspec.json.encode(row) + b"\n")


def kept_rows(path: Path) -> list[Row]:
    """Return the rows of a run that is under way; a last line cut short is dropped."""
    decoder = msgspec.json.Decoder(Row)
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [decoder.decode(line) for line in lines]


def call_of(question: Question, model: str) -> ChatCall:
    """Return the request that asks a question: greedy, bounded, streamed."""
    wire: dict[str, Any] = {"messages": [{"role": "user", "content": question.text}], "temperature": 0}
    response_format = None
    if question.as_json:
        schema = {"name": "answer", "schema": ANSWER_SCHEMA, "strict": True}
        response_format = {"type": "json_schema", "json_schema": schema}
        wire["response_format"] = response_format
    wire["max_tokens"] = MAX_TOKENS
    return ChatCall(
        model=model,
        endpoint="chat",
        messages=(Message("user", question.text),),
        wire=wire,
        stream=True,
        max_tokens=MAX_TOKENS,
        response_format=response_format,
    )


async def _ask(backend: Streamer, model: str, question: Question, number: int, clock: Callable[[], float]) -> Row:
    started = clock()
    call = UpstreamCall(call_of(question, model), probe=True, deadline=started + DEADLINE_S, request_id=f"rec_{number}")
    text, finish_reason, prompt_tokens = [], "", 0
    tokens: list[str] = []
    logprobs: list[float] = []
    token_s: list[float] = []
    async for batch in backend.stream(call):
        now = round(clock() - started, 4)
        for chunk in batch:
            prompt_tokens = chunk.usage.prompt_tokens if chunk.usage else prompt_tokens
            for choice in chunk.choices:
                text.append(choice.delta.get("content") or "")
                finish_reason = choice.finish_reason or finish_reason
                entries = (choice.logprobs.content if choice.logprobs else None) or []
                tokens += [entry.token for entry in entries]
                logprobs += [round(entry.logprob, 4) for entry in entries]
                token_s += [now] * len(entries)
    seconds = round(clock() - started, 4)
    reply = "".join(text)
    correct = await asyncio.to_thread(grade, question, reply)
    return Row(
        question_id=question.question_id,
        kind=question.kind,
        model=model,
        as_json=question.as_json,
        correct=correct,
        text=reply,
        finish_reason=finish_reason,
        tokens=tokens,
        logprobs=logprobs,
        token_s=token_s,
        prompt_tokens=prompt_tokens,
        seconds=seconds,
    )
