import json
from typing import Any

import pytest

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Compare, FileSearch
from headrace.gateway.codecs.chat import read_call
from headrace.gateway.tools.kinds import standard_kinds

SEARCH = {"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def read(**fields: Any) -> ChatCall:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_call(json.dumps(body).encode(), kinds=standard_kinds(), max_depth=64)


def param_of(**fields: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    return caught.value.param


def test_a_file_search_is_read_apart_and_never_goes_upstream() -> None:
    call = read(
        tools=[
            {
                **SEARCH,
                "max_num_results": 3,
                "filters": {"type": "eq", "key": "team", "value": "red"},
                "ranking_options": {"ranker": "none", "score_threshold": 0.4},
            }
        ]
    )
    wanted = FileSearch(("vs_1", "vs_2"), k=3, where=Compare("team", "eq", "red"), min_score=0.4, rerank=False)
    assert call.file_search == wanted
    assert call.tools == ()
    assert "tools" not in call.wire


def test_the_clients_own_tools_stay_its_own() -> None:
    call = read(tools=[SEARCH, TOOL], tool_choice="auto")
    assert call.file_search == FileSearch(("vs_1", "vs_2"))
    assert (call.tools, call.wire["tools"]) == ((TOOL,), [TOOL])
    assert (call.tool_choice, call.wire["tool_choice"]) == ("auto", "auto")


@pytest.mark.parametrize("choice", ["required", {"type": "file_search"}])
def test_a_forced_search_forces_no_model(choice: object) -> None:
    call = read(tools=[SEARCH], tool_choice=choice)
    assert call.file_search == FileSearch(("vs_1", "vs_2"), is_forced=True)
    assert call.tool_choice is None
    assert "tool_choice" not in call.wire


def test_no_tools_means_no_search() -> None:
    assert read(tools=[SEARCH], tool_choice="none").file_search is None
    both = read(tools=[SEARCH, TOOL], tool_choice="none")
    assert (both.file_search, both.wire["tool_choice"]) == (None, "none")


def test_allowed_tools_may_leave_the_search_out_or_leave_it_alone() -> None:
    def allowed(*tools: object) -> dict[str, Any]:
        return {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": list(tools)}}

    assert read(tools=[SEARCH, TOOL], tool_choice=allowed(TOOL)).file_search is None
    alone = read(tools=[SEARCH, TOOL], tool_choice=allowed({"type": "file_search"}))
    assert (alone.file_search, alone.tools) == (FileSearch(("vs_1", "vs_2")), ())


def test_hits_are_shown_on_request() -> None:
    assert read(tools=[SEARCH], include=["file_search_call.results"]).shows_hits
    assert not read(tools=[SEARCH], include=[]).shows_hits
    assert param_of(include=["everything"]) == "include[0]"


def test_what_means_nothing_is_refused_at_its_field() -> None:
    assert param_of(tools=[{**SEARCH, "filters": {"type": "like", "key": "a", "value": 1}}]) == "tools[0].filters.type"
    assert param_of(tools=[TOOL], tool_choice={"type": "file_search"}) == "tool_choice"
    assert param_of(tool_choice={"type": "file_search"}) == "tool_choice"
