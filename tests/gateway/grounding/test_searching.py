"""A model that searches by itself, over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.errors import BackendUnavailable
from headrace.gateway.grounding.searching import BAD_QUERY, NO_PASSAGES, NOT_DONE, offered
from tests.gateway.grounding.test_grounder import FIRST, QUESTION, RIGHT, config, record_of, serving
from tests.support.documents import LEAVE, TRAVEL, Library
from tests.support.gateway import ask
from tests.support.replies import Say
from tests.support.routing import call, tool
from tests.support.upstream import Upstream

JUDGED = "    on_low_confidence: {{probe: {{tokens: 8, s: 2, on_uncertain: commit}}, max_risk: 0.2, then: [large]}}\n"


def unjudged(retrieve: str) -> str:
    """Return the config without judging: the scripted upstream tells no probabilities of a call's arguments."""
    return config(retrieve).replace(JUDGED, "")


MODEL = unjudged("when: model")


def calling(*queries: object, name: str = "file_search", also: tuple[tuple[str, str], ...] = ()) -> Say:
    calls = [(name, json.dumps({"query": query}) if isinstance(query, str) else "nonsense") for query in queries]
    return Say((), finish_reason="tool_calls", tools=(*calls, *also))


def results(upstream: Upstream) -> list[str]:
    return [turn["content"] for turn in upstream.seen[-1].json["messages"] if turn["role"] == "tool"]


async def test_a_model_asks_the_gateway_searches_and_the_answer_cites(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    library = Library.of(LEAVE, TRAVEL)
    async with serving(tmp_path, small, large, library, MODEL) as gateway:
        small.then(calling("paid leave days"), RIGHT)
        _, body, headers = await gateway.post("/v1/chat/completions", ask(QUESTION))
        found = await record_of(gateway, headers)
    assert [query.text for _, _, query in library.asked] == ["paid leave days"]
    assert small.seen[0].json["tools"][0]["function"]["name"] == "file_search"
    assert "[1] handbook.md\nEmployees" in results(small)[0]
    message = body["choices"][0]["message"]
    assert message["content"] == RIGHT.text
    assert "tool_calls" not in message
    assert [each["quote"] for each in message["citations"]] == [FIRST]
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["searched", "committed"]
    assert found["retrieval"]["when"] == "model"
    assert found["retrieval"]["searches"] == 1
    assert found["wasted_tokens"] > 0
    assert headers["x-headrace-attempts"] == "2"


async def test_a_stream_is_told_the_last_answer_and_its_cost(tmp_path: Path, small: Upstream, large: Upstream) -> None:
    async with serving(tmp_path, small, large, Library.of(LEAVE), MODEL) as gateway:
        small.then(calling("paid leave days"), RIGHT)
        text = (await gateway.stream(ask(QUESTION, stream_options={"include_usage": True}))).decode()
    chunks = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == RIGHT.text
    assert chunks[-2]["choices"][0]["delta"]["citations"]
    assert chunks[-1]["usage"]["prompt_tokens"] == 7
    assert text.endswith("data: [DONE]\n\n")


async def test_a_model_that_never_stops_searching_has_to_answer_in_the_end(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    library = Library.of(LEAVE, TRAVEL)
    async with serving(tmp_path, small, large, library, unjudged("when: model, max_searches: 2")) as gateway:
        small.then(calling("paid leave"), calling("booked trips"), RIGHT)
        _, body, _ = await gateway.post("/v1/chat/completions", ask(QUESTION))
    assert len(library.asked) == 2
    assert "tools" not in small.seen[-1].json
    assert ["[1] handbook" in each for each in results(small)] == [True, False], "numbers go on"
    assert "[2] handbook.md\nTrips" in results(small)[1]
    assert body["choices"][0]["message"]["citations"]


async def test_a_call_of_the_clients_own_tool_ends_the_search_and_goes_to_the_client(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    library = Library.of(LEAVE)
    async with serving(tmp_path, small, large, library, MODEL) as gateway:
        small.then(calling("paid leave", also=(("look_up", '{"place": "Rome"}'),)))
        _, body, _ = await gateway.post("/v1/chat/completions", ask(QUESTION, tools=[tool()]))
    choice = body["choices"][0]
    assert [each["function"]["name"] for each in choice["message"]["tool_calls"]] == ["look_up"]
    assert choice["finish_reason"] == "tool_calls"
    assert library.asked == []


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (calling(None), BAD_QUERY),
        (calling("  "), BAD_QUERY),
        (calling("x" * 3_000), BAD_QUERY),
        (calling("penguins"), NO_PASSAGES),
    ],
)
async def test_a_call_that_finds_nothing_is_told_so(
    tmp_path: Path, small: Upstream, large: Upstream, asked: Say, answered: str
) -> None:
    async with serving(tmp_path, small, large, Library.of(LEAVE), MODEL) as gateway:
        small.then(asked, RIGHT)
        status, _, _ = await gateway.post("/v1/chat/completions", ask(QUESTION))
    assert (status, results(small)) == (200, [answered])


async def test_too_many_calls_at_once_are_cut(tmp_path: Path, small: Upstream, large: Upstream) -> None:
    library = Library.of(LEAVE)
    async with serving(tmp_path, small, large, library, MODEL) as gateway:
        small.then(calling(*(f"paid leave {n}" for n in range(6))), RIGHT)
        await gateway.post("/v1/chat/completions", ask(QUESTION))
    assert len(library.asked) == 4
    assert len(results(small)) == 6


@pytest.mark.parametrize(("on_error", "status"), [("fail", 503), ("answer", 200)])
async def test_a_search_that_is_down_fails_or_is_told_to_the_model(
    tmp_path: Path, small: Upstream, large: Upstream, on_error: str, status: int
) -> None:
    library = Library.of(LEAVE)
    library.fault = BackendUnavailable("down")
    async with serving(tmp_path, small, large, library, unjudged(f"when: model, on_error: {on_error}")) as gateway:
        small.then(calling("paid leave"), RIGHT)
        found, _, _ = await gateway.post("/v1/chat/completions", ask(QUESTION))
    assert found == status
    if status == 200:
        assert results(small) == [NOT_DONE]


async def test_without_a_model_that_calls_tools_the_gateway_searches_first(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    text = MODEL.replace("[stream, logprobs, tools, json_schema]", "[stream, logprobs]")
    library = Library.of(LEAVE)
    async with serving(tmp_path, small, large, library, text) as gateway:
        _, body, _ = await gateway.post("/v1/chat/completions", ask(QUESTION))
        _, several, _ = await gateway.post("/v1/chat/completions", ask(QUESTION, n=2))
    assert len(library.asked) == 2
    assert body["choices"][0]["message"]["citations"]
    assert all(choice["message"]["citations"] for choice in several["choices"])


def test_the_function_gets_another_name_where_the_client_has_one_like_it() -> None:
    def name(made: Any) -> str:
        return str(made.tools[-1]["function"]["name"])

    assert name(offered(call())) == "file_search"
    theirs = offered(call(tools=(tool("file_search"),)))
    assert name(theirs) == "search_documents"
    assert len(theirs.wire["tools"]) == 2
