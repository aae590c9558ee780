"""The official client against a running gateway: chat and completions, streamed and not."""

import asyncio
import json

import openai
import pytest

from tests.support.gateway import Running, ask
from tests.support.replies import Problem, Raw, Reset, Say, delta, event, sse
from tests.support.upstream import Upstream

USER = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
EXPLAINED = ("decision", "rule", "tier", "model", "attempts", "difficulty")


async def test_an_easy_question_is_answered_by_the_small_tier_and_says_why(gateway: Running, small: Upstream) -> None:
    small.always(Say(["Paris", "."]))
    raw = await gateway.client().chat.completions.with_raw_response.create(model="headrace/auto", messages=USER)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Paris."
    assert answer.model == "s"
    assert answer.id.startswith("chatcmpl-")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    headers = {name: raw.headers[f"x-headrace-{name}"] for name in EXPLAINED}
    assert headers["tier"] == "small"
    assert headers["rule"] == "default"
    assert headers["attempts"] == "1"
    assert float(raw.headers["x-headrace-cost-usd"]) >= 0
    assert raw.headers["x-request-id"].startswith("req_")


async def test_a_hard_question_goes_to_the_large_tier_by_rule(gateway: Running, large: Upstream) -> None:
    status, body, headers = await gateway.post("/v1/chat/completions", ask("a hard one"))
    assert (status, body["model"], headers["x-headrace-rule"]) == (200, "l", "hard")
    assert large.meter.requests == 1


async def test_a_doubtful_answer_escalates_and_only_the_second_is_seen(
    gateway: Running, small: Upstream, large: Upstream
) -> None:
    small.always(Say([("No", -5.0), (" idea", -6.0)]))
    large.always(Say(["Sure"]))
    status, body, headers = await gateway.post("/v1/chat/completions", ask())
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "Sure"
    assert headers["x-headrace-attempts"] == "2"
    assert body["usage"]["completion_tokens"] == 1


async def test_a_stream_follows_the_rules_that_clients_rely_on(gateway: Running, small: Upstream) -> None:
    small.always(Say(["a", "b", "c"], usage="twice"))
    text = (await gateway.stream(ask(stream_options={"include_usage": True}))).decode()
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert {(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks} == {
        (chunks[0]["id"], chunks[0]["created"], "s")
    }
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert [choice["delta"].get("role") for choice in choices].count("assistant") == 1
    assert choices[0]["delta"]["role"] == "assistant"
    assert [choice["finish_reason"] for choice in choices[:-1]] == [None] * (len(choices) - 1)
    assert choices[-1]["finish_reason"] == "stop"
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "abc"
    assert all(choice["logprobs"] is None for choice in choices)


async def test_without_include_usage_no_chunk_speaks_of_usage(gateway: Running) -> None:
    assert b"usage" not in await gateway.stream(ask())


async def test_the_official_client_streams_text_equal_to_the_whole_answer(gateway: Running, small: Upstream) -> None:
    small.always(Say(["one", " two", " três"]))
    stream = await gateway.client().chat.completions.create(model="headrace/auto", messages=USER, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    whole = await gateway.client().chat.completions.create(model="headrace/auto", messages=USER)
    assert text == whole.choices[0].message.content == "one two três"


async def test_tool_calls_come_through_streamed_and_whole(gateway: Running, small: Upstream, large: Upstream) -> None:
    call = Say([], finish_reason="tool_calls", tools=[("weather", '{"city":"Oslo"}')])
    small.always(call)
    large.always(call)
    client = gateway.client()
    whole = await client.chat.completions.create(model="headrace/auto", messages=USER, tools=[TOOL])
    assert whole.choices[0].message.tool_calls is not None
    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"city":"Oslo"}'
    stream = await client.chat.completions.create(model="headrace/auto", messages=USER, tools=[TOOL], stream=True)
    deltas = [piece async for chunk in stream if chunk.choices for piece in chunk.choices[0].delta.tool_calls or ()]
    assert deltas[0].id
    assert deltas[0].type == "function"
    assert deltas[0].function.name == "weather"
    assert all(piece.index == 0 for piece in deltas)
    assert all(piece.id is None and piece.type is None for piece in deltas[1:])
    assert "".join(piece.function.arguments or "" for piece in deltas) == '{"city":"Oslo"}'


async def test_a_schema_reaches_the_engine_as_it_came(gateway: Running, small: Upstream) -> None:
    small.always(Say(['{"a":', "1}"]))
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    await gateway.client().chat.completions.create(model="headrace/small", messages=USER, response_format=shape)
    assert small.seen[-1].json["response_format"] == shape


async def test_logprobs_are_shown_only_to_those_who_ask(gateway: Running) -> None:
    client = gateway.client()
    asked = await client.chat.completions.create(model="headrace/auto", messages=USER, logprobs=True, top_logprobs=2)
    assert asked.choices[0].logprobs is not None
    assert asked.choices[0].logprobs.content
    plain = await client.chat.completions.create(model="headrace/auto", messages=USER)
    assert plain.choices[0].logprobs is None


async def test_n_answers_come_back_with_their_indexes(gateway: Running) -> None:
    answer = await gateway.client().chat.completions.create(model="headrace/auto", messages=USER, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


async def test_absent_optional_objects_are_left_out_not_null(gateway: Running) -> None:
    _, body, _ = await gateway.post("/v1/chat/completions", ask())
    message = body["choices"][0]["message"]
    assert "tool_calls" not in message
    assert "system_fingerprint" not in body
    assert "service_tier" not in body
    assert message["refusal"] is None


async def test_sampling_fields_reach_the_engine_and_engine_fields_do_not(gateway: Running, small: Upstream) -> None:
    await gateway.post(
        "/v1/chat/completions",
        ask(
            temperature=0.3, top_p=0.9, stop=["\n"], seed=7, max_completion_tokens=9, max_tokens=5, top_k=3,
            chat_template="{{x}}", cache_salt="mine", chat_template_kwargs={"a": 1}, logit_bias={"5": -1},
        ),
    )  # fmt: skip
    sent = small.seen[-1].json
    assert {"temperature": 0.3, "top_p": 0.9, "stop": ["\n"], "seed": 7, "top_k": 3}.items() <= sent.items()
    assert sent["max_completion_tokens"] == 9
    assert not {"max_tokens", "chat_template", "chat_template_kwargs", "cache_salt"} & sent.keys()


async def test_unknown_message_fields_survive(gateway: Running, small: Upstream) -> None:
    message = {"role": "user", "content": "hi", "x_custom": {"kept": [1, 2]}}
    await gateway.post("/v1/chat/completions", {"model": "headrace/auto", "messages": [message]})
    assert small.seen[-1].json["messages"] == [message]


async def test_completions_answer_in_the_older_shape(gateway: Running, small: Upstream) -> None:
    small.always(Say(["once", " more"]))
    client = gateway.client()
    whole = await client.completions.create(model="headrace/auto", prompt="say it", logprobs=1)
    assert whole.choices[0].text == "once more"
    assert whole.choices[0].logprobs is not None
    assert whole.choices[0].logprobs.tokens == ["once", " more"]
    stream = await client.completions.create(
        model="headrace/auto", prompt=["say it"], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "once more"
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("name", ["headrace/auto", "headrace/small", "s", "gpt-4o-mini"])
async def test_virtual_models_tiers_ids_and_aliases_can_be_named(gateway: Running, name: str) -> None:
    answer = await gateway.client().chat.completions.create(model=name, messages=USER)
    assert answer.model == "s"


async def test_an_unknown_model_is_openais_404(gateway: Running) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await gateway.client().chat.completions.create(model="gpt-9", messages=USER)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


async def test_a_client_that_retries_gets_through_a_passing_failure(
    gateway: Running, small: Upstream, large: Upstream
) -> None:
    small.then(Problem(500))
    large.then(Problem(500))
    answer = await gateway.client(max_retries=2).chat.completions.create(model="headrace/auto", messages=USER)
    assert answer.choices[0].message.content


async def test_an_upstream_refusal_of_the_request_keeps_its_words(
    gateway: Running, small: Upstream, large: Upstream
) -> None:
    refusal = Problem(400, "maximum context length is 8192 tokens")
    small.always(refusal)
    large.always(refusal)
    with pytest.raises(openai.BadRequestError, match="context length"):
        await gateway.client().chat.completions.create(model="headrace/auto", messages=USER)


async def test_a_stream_that_breaks_after_commit_ends_in_an_error_event(gateway: Running, large: Upstream) -> None:
    large.always(Raw([*sse(event(delta("So"))).script[:-1], Reset()]))
    stream = await gateway.client().chat.completions.create(model="headrace/large", messages=USER, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_leaves_stops_the_work(gateway: Running, large: Upstream, *, streamed: bool) -> None:
    large.always(Say(["a"] * 500, first_s=0.05, delay_s=0.02) if streamed else Say(["a"], first_s=15))
    body = ask("hard", stream=streamed)
    request = asyncio.ensure_future(gateway.post("/v1/chat/completions", body))
    await large.arrived.wait()
    request.cancel()
    async with asyncio.timeout(3):
        await large.seen[0].ended.wait()
    assert large.meter.running == 0
    assert large.seen[0].outcome == "aborted"


async def test_a_decision_is_found_by_its_id_with_every_attempt(gateway: Running, small: Upstream) -> None:
    small.always(Say([("No", -5.0)]))
    _, _, headers = await gateway.post("/v1/chat/completions", ask())
    status, record, _ = await gateway.get(f"/v1/headrace/decisions/{headers['x-headrace-decision']}")
    assert status == 200
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["rejected", "committed"]
    assert record["outcome"] == "ok"


async def test_a_full_tier_is_503_with_retry_after(gateway: Running, large: Upstream) -> None:
    large.always(Say(["a"] * 50, delay_s=0.05))
    requests = [gateway.post("/v1/chat/completions", ask("hard")) for _ in range(7)]
    answers = await asyncio.gather(*requests)
    full = [answer for answer in answers if answer[0] == 503]
    assert len(full) == 1
    assert full[0][1]["error"]["code"] == "queue_full"
    assert int(full[0][2]["retry-after"]) >= 1
