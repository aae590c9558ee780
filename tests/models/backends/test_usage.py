from headrace.contracts.chat import (
    ChatCall,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    EstimatedUsage,
    Logprobs,
    Message,
    TokenLogprob,
    Usage,
)
from headrace.models.backends.usage import Tally

CHAT = ChatCall(model="m", endpoint="chat", messages=(Message("user", "12345678"),), wire={})


def chunk(
    text: str, *, tokens: int = 0, finish: str | None = None, index: int = 0, usage: Usage | None = None
) -> Chunk:
    logprobs = Logprobs([TokenLogprob("t", -0.1)] * tokens) if tokens else None
    return Chunk([ChunkChoice(index, {"content": text}, logprobs, finish)], usage)


def test_the_engines_last_believable_figure_wins() -> None:
    tally = Tally(CHAT, 100)
    assert tally.add(chunk("a", usage=Usage(5, 1, 6)))
    assert not tally.add(Chunk([], Usage(5, 9, 14)))
    assert not tally.add(Chunk([], Usage(5, -9, -4)))
    assert tally.final() == Usage(5, 9, 14)


def test_an_impossible_figure_is_removed_and_replaced_by_our_marked_count() -> None:
    tally = Tally(CHAT, 100)
    absurd = chunk("ab", tokens=2, usage=Usage(5, 10**15, 10**15))
    tally.add(absurd)
    tally.add(chunk("c", tokens=1))
    assert absurd.usage is None
    assert tally.final() == EstimatedUsage(6, 3, 9)


def test_an_answer_is_whole_when_every_choice_ended() -> None:
    tally = Tally(CHAT, 100)
    tally.add(chunk("a"))
    assert not tally.is_whole
    tally.add(chunk("b", index=1))
    tally.add(chunk("", finish="stop"))
    assert not tally.is_whole
    tally.add(chunk("", finish="length", index=1))
    assert tally.is_whole


def test_a_whole_answer_without_usage_is_counted_from_logprobs_or_bytes() -> None:
    with_logprobs = Completion([Choice(0, {"content": "abc"}, Logprobs([TokenLogprob("t", -1.0)] * 7))])
    assert Tally(CHAT, 100).of(with_logprobs).completion_tokens == 7
    bare = Completion([Choice(0, {"role": "assistant", "content": "a" * 40})], Usage(-1, 2, 1))
    assert Tally(CHAT, 100).of(bare) == EstimatedUsage(6, 10, 16)


def test_only_the_details_openai_names_are_kept() -> None:
    tally = Tally(CHAT, 100)
    details = {"cached_tokens": 3, "created_cache_tokens": 32, "audio_tokens": None}
    tally.add(Chunk([], Usage(5, 1, 6, details, {"odd": 1})))
    assert tally.final() == Usage(5, 1, 6, {"cached_tokens": 3}, None)
