from collections.abc import AsyncIterator, Sequence

from headrace.contracts.chat import Choice, Chunk, ChunkChoice, Completion, Usage
from headrace.gateway.grounding.cited import cite_stream, cite_whole
from tests.gateway.grounding.test_grounding import grounding


async def flow(*batches: Sequence[Chunk]) -> AsyncIterator[Sequence[Chunk]]:
    for batch in batches:
        yield batch


def chunk(text: str | None = None, finish: str | None = None, index: int = 0) -> Chunk:
    return Chunk([ChunkChoice(index, {} if text is None else {"content": text}, finish_reason=finish)])


async def test_each_choice_of_a_whole_answer_has_its_own_citations() -> None:
    right = {"content": "27 days of paid leave [1].", "odd": 1}
    completion = Completion([Choice(0, right), Choice(1, {"content": "Penguins."}), Choice(2, {"content": None})])
    await cite_whole(completion, grounding())
    assert ["citations" in choice.message for choice in completion.choices] == [True, False, False]
    assert completion.choices[0].message["odd"] == 1


async def test_the_last_chunk_of_a_choice_carries_what_its_words_cite() -> None:
    usage = Chunk([], Usage(1, 2, 3))
    batches = (
        [chunk("27 days of "), chunk("Nothing", index=1)],
        [chunk("paid leave [1]", "stop"), chunk(None, "stop", index=1)],
        [usage],
    )
    found = [each async for batch in cite_stream(flow(*batches), grounding()) for each in batch]
    assert [[sorted(choice.delta) for choice in each.choices] for each in found] == [
        [["content"]],
        [["content"]],
        [["citations", "content"]],
        [[]],
        [],
    ]
    assert found[-1] is usage


async def test_a_stream_that_breaks_off_cites_nothing() -> None:
    found = [each async for batch in cite_stream(flow([chunk("27 days [1]")]), grounding()) for each in batch]
    assert [choice.delta for choice in found[0].choices] == [{"content": "27 days [1]"}]
