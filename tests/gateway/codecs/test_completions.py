import json
from typing import Any

import pytest

from headrace.contracts.chat import Chunk, ChunkChoice, Usage
from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.completions import CompletionEvents, read_call


def read(**fields: Any) -> Any:
    return read_call(json.dumps({"model": "m", "prompt": "p", **fields}).encode(), max_depth=16)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt"), ({"prompt": None}, "prompt"),
        ({"echo": True}, "echo"), ({"suffix": "x"}, "suffix"), ({"best_of": 4}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)  # fmt: skip
def test_what_no_tier_can_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param


def test_a_list_of_one_prompt_is_a_prompt() -> None:
    call = read(prompt=["only"])
    assert (call.wire["prompt"], call.messages[0].text, call.endpoint) == ("only", "only", "completions")


def test_a_stream_ends_with_usage_only_if_asked() -> None:
    for asked in (True, False):
        events = CompletionEvents(answer_id="cmpl-1", created=1, model="m", include_usage=asked)
        text = events.render([Chunk([ChunkChoice(0, {"content": "hi"})]), Chunk([], Usage(1, 2, 3))])
        assert json.loads(text.removeprefix(b"data: "))["choices"][0]["text"] == "hi"
        assert (b"usage" in events.end()) == asked
