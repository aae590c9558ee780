"""Gives a committed answer to the client, whole or as it streams, in the words of its dialect."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from headrace.contracts.chat import Chunk, Completion
from headrace.contracts.errors import BackendProtocol
from headrace.gateway.grounding.cited import cite_stream, cite_whole
from headrace.gateway.recorder import Story
from headrace.gateway.streaming import HEADERS
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.extract import extract_answer
from headrace.router.cascade.spoken import Spoken

MAX_HEARD_CHARS: Final = 100_000


class Listener:
    """Remembers the words of a streamed answer, to compare them. One object a mirrored request."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._chars = 0

    def hear(self, chunks: Sequence[Chunk]) -> None:
        """Take what goes to the client; of choices beyond the first, nothing."""
        for chunk in chunks:
            for choice in chunk.choices:
                if choice.index == 0 and self._chars < MAX_HEARD_CHARS and (words := choice.delta.get("content")):
                    self._words.append(words)
                    self._chars += len(words)

    def hear_whole(self, completion: Completion) -> None:
        """Take a whole answer."""
        self._words = [str(completion.choices[0].message.get("content") or "")] if completion.choices else []

    @property
    def answer(self) -> str:
        """What the answer comes down to; empty where it has no words."""
        return extract_answer("".join(self._words))


async def deliver(story: Story, answer: Answer, listener: Listener | None = None) -> None:
    """Send the answer, with the citations of one that rests on documents. listener: hears it too, to mirror it."""
    model, grounding = answer.target.card.id, story.grounding
    if story.call.stream:
        chunks = answer.chunks()
        await _stream(story, chunks if grounding is None else cite_stream(chunks, grounding), model, listener)
        return
    if answer.completion is None:
        raise BackendProtocol("the cascade gave no answer")
    if grounding is not None:
        await cite_whole(answer.completion, grounding)
    if listener is not None:
        listener.hear_whole(answer.completion)
    await _whole(story, answer.completion, model)


async def decline(story: Story, words: Completion) -> None:
    """Send an answer that no model gave, in the form the client asked for."""
    if story.call.stream:
        await _stream(story, Spoken(words, story.call).chunks(), story.call.model)
    else:
        await _whole(story, words, story.call.model)


async def _whole(story: Story, completion: Completion, model: str) -> None:
    body = story.dialect.whole(completion, answer_id=story.answer_id, created=int(story.wall_s), model=model)
    await story.exchange.respond(200, body, story.headers())


async def _stream(
    story: Story, flow: AsyncIterator[Sequence[Chunk]], model: str, listener: Listener | None = None
) -> None:
    exchange = story.exchange
    events = story.dialect.stream(
        answer_id=story.answer_id,
        created=int(story.wall_s),
        model=model,
        include_usage=story.call.include_usage,
    )
    await exchange.start_stream((*HEADERS, *story.headers()))
    async for chunks in flow:
        if listener is not None:
            listener.hear(chunks)
        await exchange.write(events.render(chunks))
    await exchange.end(events.end())
