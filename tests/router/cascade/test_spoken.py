from headrace.contracts.chat import Choice, Chunk, Completion, Usage
from headrace.router.cascade.spoken import Spoken
from tests.support.routing import call

WHOLE = Completion(
    [
        Choice(0, {"role": "assistant", "content": "Hi", "refusal": None}, None, "stop"),
        Choice(1, {"content": "Ho"}, None, "length"),
    ],
    Usage(3, 2, 5),
    "id",
    7,
    "m",
)


async def spoken(**fields: bool) -> list[Chunk]:
    speech = Spoken(WHOLE, call(stream=True, **fields))
    return [chunk for batch in [batch async for batch in speech.chunks()] for chunk in batch]


async def test_every_choice_says_its_words_and_then_why_it_ends() -> None:
    chunks = await spoken()
    said = [(each.index, each.delta, each.finish_reason) for chunk in chunks for each in chunk.choices]
    assert said == [
        (0, {"role": "assistant", "content": "Hi"}, None),
        (0, {}, "stop"),
        (1, {"role": "assistant", "content": "Ho"}, None),
        (1, {}, "length"),
    ]
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {("id", 7, "m")}
    assert not any(chunk.usage for chunk in chunks)


async def test_usage_comes_last_where_it_is_asked_for() -> None:
    last = (await spoken(include_usage=True))[-1]
    assert (last.choices, last.usage) == ([], Usage(3, 2, 5))


async def test_it_is_one_stream_and_may_be_closed_at_any_time() -> None:
    speech = Spoken(WHOLE, call(stream=True))
    await speech.aclose()
    assert speech.chunks() is speech.chunks()
    await speech.aclose()
    assert [batch async for batch in speech.chunks()] == []
