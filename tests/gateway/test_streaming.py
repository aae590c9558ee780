import json
from typing import Any

from headrace.contracts.chat import Chunk, ChunkChoice, Usage
from headrace.gateway.streaming import ChatEvents, error_event


def events(include_usage: bool = False) -> ChatEvents:
    return ChatEvents(answer_id="chatcmpl-abc", created=5, model="m", include_usage=include_usage)


def read(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.decode().split("\n\n") if line]


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> Chunk:
    return Chunk([ChunkChoice(index, delta, None, finish)])


def deltas(rendered: bytes) -> list[dict[str, Any]]:
    return [event["choices"][0]["delta"] for event in read(rendered)]


def test_the_role_comes_once_a_choice_even_if_the_engine_repeats_or_forgets_it() -> None:
    batch = [chunk({"content": "a"}), chunk({"role": "assistant", "content": "b"}), chunk({"content": "c"}, index=1)]
    assert [delta.get("role") for delta in deltas(events().render(batch))] == ["assistant", None, "assistant"]


def test_empty_deltas_make_no_event() -> None:
    stream = events()
    stream.render([chunk({"content": "a"})])
    assert stream.render([chunk({}), chunk({"content": ""}), chunk({"tool_calls": None, "content": None})]) == b""


def test_tool_deltas_carry_id_type_and_name_once_and_always_their_index() -> None:
    full = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}
    rendered = events().render([chunk({"tool_calls": [full]}), chunk({"tool_calls": [full]})])
    first, second = (delta["tool_calls"][0] for delta in deltas(rendered))
    assert first == full
    assert second == {"index": 0, "function": {"arguments": "{"}}


def test_a_tool_call_without_an_id_is_given_one() -> None:
    rendered = events().render([chunk({"tool_calls": [{"function": {"name": "f", "arguments": ""}}]})])
    call = deltas(rendered)[0]["tool_calls"][0]
    assert call["id"].startswith("call_")
    assert call["index"] == 0


def test_usage_is_one_last_chunk_and_null_before() -> None:
    stream = events(include_usage=True)
    body = stream.render([chunk({"content": "a"}), Chunk([], Usage(1, 1, 2)), Chunk([], Usage(1, 2, 3))])
    assert [event["usage"] for event in read(body)] == [None]
    last, done = stream.end().decode().strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["usage"]["total_tokens"] == 3
    assert done == "data: [DONE]"


def test_reasoning_has_one_name() -> None:
    assert deltas(events().render([chunk({"reasoning": "hm"})]))[0]["reasoning_content"] == "hm"


def test_an_error_in_mid_stream_is_one_event() -> None:
    assert read(error_event({"error": {"message": "x"}})) == [{"error": {"message": "x"}}]
