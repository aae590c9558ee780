from headrace.contracts.chat import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    EstimatedUsage,
    JsonObject,
    Logprobs,
    TokenLogprob,
    Usage,
)
from headrace.router.cascade.tally import Tally


def tally() -> Tally:
    return Tally(11, iter((3.5, 4.5)).__next__)


def chunk(delta: JsonObject, *, tokens: int = 0, usage: Usage | None = None) -> Chunk:
    logprobs = Logprobs(content=[TokenLogprob("x", -1.0)] * tokens) if tokens else None
    return Chunk(choices=[ChunkChoice(delta=delta, logprobs=logprobs)], usage=usage)


def figures(counted: Tally) -> tuple[int, int, bool]:
    return counted.prompt_tokens, counted.completion_tokens, counted.is_estimated


def test_nothing_seen_costs_nothing() -> None:
    assert figures(tally()) == (0, 0, False)


def test_the_engines_newest_usage_wins() -> None:
    counted = tally()
    counted.add(
        [chunk({"content": "abc"}, tokens=1, usage=Usage(7, 1, 8)), chunk({"content": "d"}, usage=Usage(7, 2, 9))]
    )
    assert figures(counted) == (7, 2, False)
    assert counted.as_usage() == Usage(7, 2, 9)


def test_without_usage_entries_are_counted_and_the_figure_is_flagged() -> None:
    counted = tally()
    counted.add([chunk({"content": "a long piece of text"}, tokens=3), chunk({"content": ""}, tokens=1)])
    assert figures(counted) == (11, 4, True)


def test_without_entries_the_text_is_measured() -> None:
    counted = tally()
    counted.add([chunk({"content": "abcdefgh"}), chunk({"reasoning": "i"})])
    counted.add([chunk({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})])
    assert (figures(counted), counted.chars) == ((11, 3, True), 12)
    assert isinstance(counted.as_usage(), EstimatedUsage)


def test_the_first_token_is_timed_once_and_a_role_is_none() -> None:
    counted = tally()
    counted.add([chunk({"role": "assistant", "content": ""})])
    assert counted.first_token_at is None
    counted.add([chunk({"content": "a"})])
    counted.add([chunk({"content": "b"})])
    assert counted.first_token_at == 3.5


def test_an_estimate_of_the_backend_stays_an_estimate() -> None:
    counted = tally()
    counted.add([Chunk(usage=EstimatedUsage(7, 2, 9))])
    assert figures(counted) == (7, 2, True)


def test_a_whole_answer_counts_all_its_choices() -> None:
    counted = tally()
    logprobs = Logprobs(content=[TokenLogprob("x", -1.0)] * 2)
    counted.add_whole(Completion(choices=[Choice(message={"content": "ab"}, logprobs=logprobs) for _ in range(3)]))
    assert figures(counted) == (11, 6, True)
