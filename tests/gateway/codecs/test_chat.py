import json
from typing import Any

import pytest

from headrace.contracts.chat import Choice, Completion, Usage
from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.chat import clean_message, read_call, render
from headrace.gateway.tools.kinds import standard_kinds

KINDS = standard_kinds()
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER: dict[str, Any] = {"type": "function", "function": {"name": "g"}}


def read(**fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_call(json.dumps(body).encode(), kinds=KINDS, max_depth=64)


def refused(**fields: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.message
    return caught.value.param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"), ({"n": 9}, "n"), ({"n": "1"}, "n"), ({"n": 2**63}, "n"), ({"n": True}, "n"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"), ({"top_logprobs": 1}, "top_logprobs"),
        ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": -1}, "max_tokens"), ({"max_tokens": 2**63}, "max_tokens"),
        ({"max_completion_tokens": 2**63}, "max_completion_tokens"),
        ({"temperature": 2.1}, "temperature"), ({"temperature": -1}, "temperature"), ({"top_p": 1.1}, "top_p"),
        ({"frequency_penalty": 3}, "frequency_penalty"), ({"presence_penalty": -3}, "presence_penalty"),
        ({"stop": ["a"] * 5}, "stop"), ({"stop": [""]}, "stop[0]"), ({"stop": [1]}, "stop[0]"),
        ({"seed": 2**64}, "seed"), ({"logit_bias": {"a": 1}}, "logit_bias"), ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"), ({"metadata": {"a": "v" * 513}}, "metadata"),
        ({"user": "u" * 513}, "user"), ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"odd": 1}}, "stream_options.odd"),
        ({"service_tier": "priority"}, "service_tier"), ({"service_tier": "gold"}, "service_tier"),
        ({"modalities": ["audio"]}, "modalities"), ({"store": True}, "store"), ({"audio": {}}, "audio"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"), ({"moderation": {"model": "x"}}, "moderation"),
        ({"functions": []}, "functions"), ({"function_call": "auto"}, "function_call"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"), ({"verbosity": "loud"}, "verbosity"),
        ({"tools": [TOOL] * 129}, "tools"), ({"tools": [TOOL, TOOL]}, "tools[1]"), ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"), ({"tools": [{"type": "rocket"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "h"}}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "http://x/y"}}}},
         "response_format.json_schema.schema"),
        ({"messages": []}, "messages"), ({"messages": None}, "messages"), ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"model": ""}, "model"), ({"model": None}, "model"), ({"nonsense": 1}, "nonsense"),
        ({"base_url": "http://169.254.169.254"}, "base_url"),
    ],
)  # fmt: skip
def test_a_field_out_of_bounds_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "file:///etc/passwd", "data:image/png;base64," + "A" * 50_000]
)
def test_media_is_refused_by_its_place(url: str) -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]
    assert refused(messages=[{"role": "user", "content": parts}]) == "messages[0].content[1].image_url"


def test_null_means_absent_for_every_optional_field() -> None:
    names = ("n", "stop", "tools", "tool_choice", "response_format", "stream_options", "temperature", "seed",
             "audio",
             "functions", "store", "metadata", "logprobs", "top_logprobs", "max_tokens", "user",
             "moderation")  # fmt: skip
    call = read(**dict.fromkeys(names))
    assert set(call.wire) == {"messages"}


def test_max_completion_tokens_wins() -> None:
    call = read(max_tokens=5, max_completion_tokens=9)
    assert call.max_tokens == 9
    assert "max_tokens" not in call.wire


def test_text_parts_are_joined_for_the_router_and_left_alone_for_the_engine() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    call = read(messages=[{"role": "user", "content": parts, "extra": 1}])
    assert call.messages[0].text == "a\nb"
    assert json.loads(bytes(call.wire["messages"])) == [{"role": "user", "content": parts, "extra": 1}]


def test_every_role_is_taken() -> None:
    call = read(
        messages=[
            {"role": "developer", "content": "d"},
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "t"},
            {"role": "function", "name": "f", "content": "x"},
        ]
    )  # fmt: skip
    assert [message.role for message in call.messages] == [
        "developer", "system", "user", "assistant", "tool", "function",
    ]  # fmt: skip


def test_allowed_tools_narrow_the_list() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "name": "g"}]}
    call = read(tools=[TOOL, OTHER], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert call.wire["tools"] == [OTHER]
    assert call.tool_choice == "required"
    strange = {"mode": "auto", "tools": [{"type": "function", "name": "h"}]}
    assert refused(tools=[TOOL], tool_choice={"type": "allowed_tools", "allowed_tools": strange})


def test_a_forced_tool_goes_upstream_as_it_came() -> None:
    choice = {"type": "function", "function": {"name": "f"}}
    call = read(tools=[TOOL], tool_choice=choice)
    assert call.wire["tool_choice"] == choice
    assert call.tools == (TOOL,)


def test_text_format_is_no_format() -> None:
    assert read(response_format={"type": "text"}).response_format is None
    assert read(response_format={"type": "json_object"}).wants_json


def test_an_answer_leaves_out_what_is_absent_and_renames_reasoning() -> None:
    message = {"role": "assistant", "content": "x", "reasoning": "why", "tool_calls": [], "audio": None}
    body = json.loads(render(Completion([Choice(0, message, None, "stop")]), answer_id="i", created=1, model="m"))
    assert body["choices"][0]["message"] == {
        "role": "assistant", "content": "x", "refusal": None, "reasoning_content": "why",
    }  # fmt: skip
    assert "usage" not in body
    assert clean_message({"reasoning": "a", "reasoning_content": "b"}) == {"reasoning_content": "b"}


def test_usage_is_openais() -> None:
    answer = Completion([Choice()], Usage(3, 4, 7, {"cached_tokens": 1}))
    body = json.loads(render(answer, answer_id="i", created=1, model="m"))
    assert body["usage"] == {
        "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 1},
    }  # fmt: skip
