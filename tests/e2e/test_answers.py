"""What a user of the default cascade gets from real engines through the official client."""

import json
import math
from typing import Any

import pytest
from openai import NotFoundError, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionToolParam

from tests.e2e.conftest import LARGE, SMALL
from tests.support.serving import Served

CAPITAL: Any = [{"role": "user", "content": "What is the capital of France?"}]
PROBLEM: Any = [
    {
        "role": "user",
        "content": "A farmer sells 3 crates of 24 eggs each day at 2 dollars a dozen. Feed costs 5 dollars a day. "
        "How many dollars does he keep after 14 days?",
    }
]
CODE: Any = [{"role": "user", "content": "Write a Python function that reverses a linked list."}]
WEATHER: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
PERSON: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 120}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


def test_an_easy_question_is_answered_by_the_small_tier_with_headers_that_say_why(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="headrace/auto", messages=CAPITAL, max_tokens=32, temperature=0
    )
    answer: ChatCompletion = raw.parse()

    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.model == SMALL
    assert raw.headers["x-headrace-tier"] == "small"
    assert raw.headers["x-headrace-model"] == SMALL
    assert raw.headers["x-headrace-rule"] == "default"
    assert raw.headers["x-headrace-attempts"] == "1"
    assert raw.headers["x-request-id"].startswith("req_")
    assert 0 <= float(raw.headers["x-headrace-difficulty"]) <= 1
    assert 0 <= float(raw.headers["x-headrace-confidence"]) <= 1
    assert float(raw.headers["x-headrace-cost-usd"]) >= 0
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_an_easy_question_streams_from_the_small_tier(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="headrace/auto",
        messages=CAPITAL,
        max_tokens=32,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    assert "Paris" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert {chunk.model for chunk in chunks} == {SMALL}
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in {"stop", "length"}
    assert all(c.choices[0].logprobs is None for c in chunks if c.choices)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens <= 32


@pytest.mark.parametrize("messages", [PROBLEM, CODE], ids=["word problem", "code"])
def test_a_hard_question_is_answered_by_the_large_tier(client: OpenAI, messages: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="headrace/auto", messages=messages, max_tokens=16, temperature=0
    )

    assert raw.headers["x-headrace-tier"] == "large"
    assert raw.parse().model == LARGE


def test_streamed_and_whole_answers_are_the_same_text(client: OpenAI) -> None:
    asked: Any = {"model": SMALL, "messages": CAPITAL, "max_tokens": 24, "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**asked)
    streamed = client.chat.completions.create(**asked, stream=True)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert text == whole.choices[0].message.content


def test_a_forced_tool_call_has_arguments_that_validate(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="headrace/auto",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=WEATHER,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        max_tokens=48,
        temperature=0,
    )
    (call,) = answer.choices[0].message.tool_calls or []

    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_a_streamed_tool_call_has_indices_one_name_and_whole_arguments(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="headrace/auto",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=WEATHER,
        tool_choice="required",
        max_tokens=48,
        temperature=0,
        stream=True,
    )
    calls = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]

    assert {call.index for call in calls} == {0}
    assert [call.function.name for call in calls if call.function and call.function.name] == ["get_weather"]
    assert json.loads("".join(call.function.arguments or "" for call in calls if call.function))


def test_a_tool_call_that_the_model_chose_itself_arrives_as_one(client: OpenAI) -> None:
    asked: Any = {
        "model": "headrace/large",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": WEATHER,
        "max_tokens": 64,
        "temperature": 0,
    }
    (whole,) = client.chat.completions.create(**asked).choices
    chunks = [chunk for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices]
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]

    assert [whole.finish_reason, chunks[-1].choices[0].finish_reason] == ["tool_calls", "tool_calls"]
    assert [call.function.name for call in whole.message.tool_calls or []] == ["get_weather"]
    assert [call.function.name for call in calls if call.function.name] == ["get_weather"]
    arguments = "".join(call.function.arguments or "" for call in calls)
    assert json.loads(arguments) == json.loads(whole.message.tool_calls[0].function.arguments) == {"city": "Paris"}


def test_a_json_schema_binds_the_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="headrace/auto",
        messages=[{"role": "user", "content": "Describe Ada, who is 36, as JSON."}],
        response_format=PERSON,
        max_tokens=48,
        temperature=0,
    )

    person = json.loads(answer.choices[0].message.content or "")
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_come_when_asked_for(client: OpenAI, stream: bool) -> None:
    asked: Any = {"model": "headrace/auto", "messages": CAPITAL, "max_tokens": 8, "logprobs": True, "top_logprobs": 2}
    if stream:
        chunks = client.chat.completions.create(**asked, stream=True)
        entries = [
            e for c in chunks if c.choices and c.choices[0].logprobs for e in c.choices[0].logprobs.content or []
        ]
    else:
        logprobs = client.chat.completions.create(**asked).choices[0].logprobs
        entries = (logprobs.content if logprobs else None) or []

    assert 1 <= len(entries) <= 8
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 2 for entry in entries)


def test_several_choices_and_a_stop_word_reach_the_engine(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=SMALL, messages=CAPITAL, n=2, max_tokens=16, temperature=0.9, seed=7, stop=["Paris"]
    )

    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all("Paris" not in (choice.message.content or "") for choice in answer.choices)


def test_a_legacy_completion_is_answered(client: OpenAI) -> None:
    answer = client.completions.create(model=SMALL, prompt="The capital of France is", max_tokens=6, temperature=0)

    assert "Paris" in answer.choices[0].text


def test_embeddings_place_like_by_like(client: OpenAI) -> None:
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose last quarter."]
    cat, kitten, rates = (e.embedding for e in client.embeddings.create(model="all-minilm-l6-v2", input=texts).data)

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert len(cat) == 384
    assert math.isclose(cosine(cat, cat), 1.0, abs_tol=1e-3)
    assert cosine(cat, kitten) > cosine(cat, rates) + 0.2


def test_models_lists_what_may_be_named(client: OpenAI) -> None:
    names = {model.id for model in client.models.list().data}

    assert {"headrace/auto", SMALL, LARGE, "all-minilm-l6-v2"} <= names


def test_an_unknown_model_is_openai_s_404(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=CAPITAL)
    assert caught.value.code == "model_not_found"


def test_the_decision_has_the_final_figures(served: Served, client: OpenAI) -> None:
    raw = client.chat.completions.with_streaming_response.create(
        model="headrace/auto", messages=CAPITAL, max_tokens=12, temperature=0, stream=True
    )
    with raw as response:
        decision_id = response.headers["x-headrace-decision"]
        for _ in response.iter_lines():
            pass

    found = served.get(f"/v1/headrace/decisions/{decision_id}").json()
    assert found["decision"] == decision_id
    assert found["outcome"] == "ok"
    assert found["attempts"][-1]["outcome"] == "committed"
    assert sum(attempt["cost_microusd"] for attempt in found["attempts"]) == found["cost_microusd"]
    assert 1 <= found["completion_tokens"] <= 12


def test_explain_names_the_rule_that_the_answer_then_has(served: Served, client: OpenAI) -> None:
    body = {"model": "headrace/auto", "messages": CODE, "max_tokens": 4}
    explained = served.post("/v1/headrace/explain", body).json()
    raw = client.chat.completions.with_raw_response.create(model="headrace/auto", messages=CODE, max_tokens=4)

    assert explained["rule"] == raw.headers["x-headrace-rule"]
