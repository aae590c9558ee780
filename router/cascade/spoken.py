"""A whole answer given as a stream: all of it at once, in the order a live stream has."""

from collections.abc import AsyncGenerator, Sequence

from headrace.contracts.chat import ChatCall, Chunk, ChunkChoice, Completion


class Spoken:
    """Streams a completion that the client may have as it is. Nothing is left to stop or to close."""

    __slots__ = ("_call", "_completion", "_flow")

    def __init__(self, completion: Completion, call: ChatCall) -> None:
        self._completion = completion
        self._call = call
        self._flow: AsyncGenerator[Sequence[Chunk], None] | None = None

    def chunks(self) -> AsyncGenerator[Sequence[Chunk], None]:
        """Return the one iterator over the stream: the words, why they end, and usage if it was asked for."""
        if self._flow is None:
            self._flow = self._chunks()
        return self._flow

    async def aclose(self) -> None:
        """End the stream."""
        if self._flow is not None:
            await self._flow.aclose()

    async def _chunks(self) -> AsyncGenerator[Sequence[Chunk], None]:
        whole = self._completion
        made: list[ChunkChoice] = []
        for choice in whole.choices:
            delta = {key: value for key, value in choice.message.items() if value is not None}
            made.append(ChunkChoice(choice.index, {"role": "assistant", **delta}, choice.logprobs))
            made.append(ChunkChoice(choice.index, {}, finish_reason=choice.finish_reason or "stop"))
        batch = [Chunk([one], id=whole.id, created=whole.created, model=whole.model) for one in made]
        if self._call.include_usage and whole.usage is not None:
            batch.append(Chunk([], whole.usage, whole.id, whole.created, whole.model))
        yield batch
