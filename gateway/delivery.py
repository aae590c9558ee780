"""Gives a committed answer to the client, whole or as it streams, in the words of its dialect."""

from collections.abc import Sequence
from typing import Final

from headrace.contracts.chat import Chunk, Completion
from headrace.contracts.errors import BackendProtocol
from headrace.gateway.recorder import Story
from headrace.gateway.streaming import HEADERS
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.extract import extract_answer

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
    """Send the answer. listener: hears it too, for a request that will be mirrored."""
    await (_stream if story.call.stream else _whole)(story, answer, listener)


async def _whole(story: Story, answer: Answer, listener: Listener | None) -> None:
    if answer.completion is None:
        raise BackendProtocol("the cascade gave no answer")
    if listener is not None:
        listener.hear_whole(answer.completion)
    model = answer.target.card.id
    body = story.dialect.whole(answer.completion, answer_id=story.answer_id, created=int(story.wall_s), model=model)
    await story.exchange.respond(200, body, story.headers())


async def _stream(story: Story, answer: Answer, listener: Listener | None) -> None:
    exchange, model = story.exchange, answer.target.card.id
    events = story.dialect.stream(
        answer_id=story.answer_id,
        created=int(story.wall_s),
        model=model,
        include_usage=story.call.include_usage,
    )
    await exchange.start_stream((*HEADERS, *story.headers()))
    async for chunks in answer.chunks():
        if listener is not None:
            listener.hear(chunks)
        await exchange.write(events.render(chunks))
    await exchange.end(events.end())
