"""Adds citations to an answer on its way out: to the message of a whole one, to the last chunk of a streamed one.

A choice's last chunk is the one with its finish_reason; usage follows it untouched. Other fields of a chunk stay as
they are, so a client that knows nothing of citations sees what it always saw.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from headrace.contracts.chat import Chunk, ChunkChoice, Completion
from headrace.gateway.grounding.citations import MAX_ANSWER_CHARS
from headrace.gateway.grounding.grounding import Grounding


async def cite_whole(completion: Completion, grounding: Grounding) -> None:
    """Put the citations of each choice into its message."""
    started = grounding.clock()
    for choice in completion.choices:
        answer = str(choice.message.get("content") or "")
        choice.message = {**choice.message, **await asyncio.to_thread(grounding.extras, answer)}
    grounding.times.cite_s += grounding.clock() - started


async def cite_stream(chunks: AsyncIterator[Sequence[Chunk]], grounding: Grounding) -> AsyncIterator[Sequence[Chunk]]:
    """Yield the chunks as they come; a choice's last one carries its citations."""
    said: dict[int, list[str]] = {}
    lengths: dict[int, int] = {}
    async for batch in chunks:
        for choice in (each for chunk in batch for each in chunk.choices):
            words = choice.delta.get("content")
            if words and lengths.get(choice.index, 0) < MAX_ANSWER_CHARS:
                said.setdefault(choice.index, []).append(words)
                lengths[choice.index] = lengths.get(choice.index, 0) + len(words)
            if choice.finish_reason is not None:
                await _finish(choice, "".join(said.get(choice.index, ())), grounding)
        yield batch


async def _finish(choice: ChunkChoice, answer: str, grounding: Grounding) -> None:
    started = grounding.clock()
    choice.delta = {**choice.delta, **await asyncio.to_thread(grounding.extras, answer)}
    grounding.times.cite_s += grounding.clock() - started
