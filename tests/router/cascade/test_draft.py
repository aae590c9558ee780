from headrace.contracts.chat import ChunkChoice
from headrace.router.cascade.draft import Draft


def test_text_is_joined_and_the_finish_reason_kept() -> None:
    draft = Draft()
    for delta in ({"role": "assistant", "content": ""}, {"content": "Par"}, {"content": "is"}):
        draft.add(ChunkChoice(delta=delta))
    draft.add(ChunkChoice(finish_reason="stop"))
    assert (draft.message(), draft.finish_reason) == ({"content": "Paris"}, "stop")


def test_reasoning_is_not_yet_an_answer() -> None:
    draft = Draft()
    draft.add(ChunkChoice(delta={"reasoning": "hmm"}))
    assert not draft.has_answer
    draft.add(ChunkChoice(delta={"content": "x"}))
    assert draft.has_answer


def test_tool_calls_are_put_together_by_index() -> None:
    draft = Draft()
    for index, name in ((0, "first"), (1, "second")):
        draft.add(
            ChunkChoice(
                delta={"tool_calls": [{"index": index, "id": "c", "function": {"name": name, "arguments": ""}}]}
            )
        )
    for index, piece in ((1, "{}"), (0, '{"a"'), (0, ": 1}")):
        draft.add(ChunkChoice(delta={"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
    assert draft.has_tool_calls
    assert draft.message()["tool_calls"] == [
        {"function": {"name": "first", "arguments": '{"a": 1}'}},
        {"function": {"name": "second", "arguments": "{}"}},
    ]
