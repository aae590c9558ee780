"""Lets a model search the documents itself: it gets a function, the gateway runs it, and the model goes on.

Bounded by the virtual model's max_searches and the request's own deadline. A call of any tool of the client's ends it
and goes to the client. Each round is a whole answer of the cascade, so a stream begins when the last one is there.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from headrace.contracts.chat import ChatCall, JsonObject
from headrace.contracts.errors import Overloaded
from headrace.contracts.routing import Attempt
from headrace.gateway.grounding.context import Context
from headrace.gateway.grounding.grounding import Grounding
from headrace.gateway.grounding.prompt import continued
from headrace.router.cascade.answer import Answer
from headrace.router.cascade.spoken import Spoken
from headrace.router.features import estimate_tokens

NAME: Final = "file_search"
OTHER_NAME: Final = "search_documents"  # where the client has a function of that name itself
MAX_QUERY_CHARS: Final = 2_000
MAX_CALLS: Final = 4  # of one round; further ones are answered with an error
NO_PASSAGES: Final = "No passage was found. Try other words, or say that the documents do not tell."
BAD_QUERY: Final = 'The arguments must be {"query": "what to look for"}, with 1 to 2000 characters.'
TOO_MANY: Final = "Too many searches at once; this one was not made."
NOT_DONE: Final = "The documents cannot be searched right now."


class Arguments(msgspec.Struct):
    """What the model gives its function."""

    query: str


Run = Callable[[ChatCall], Awaitable[Answer]]
Search = Callable[[Grounding, str, int], Awaitable[Context]]


def offered(call: ChatCall) -> ChatCall:
    """Return the call with the function that searches, beside the client's own tools."""
    taken = {_named(tool) for tool in call.tools}
    tool = {
        "type": "function",
        "function": {
            "name": NAME if NAME not in taken else OTHER_NAME,
            "description": "Search the documents for passages that answer a question. Use it before you answer.",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string", "description": "What to look for, in a few words"}},
                "required": ["query"],
                "additionalProperties": False,
            },
        },
    }
    return _with_tools(call, (*call.tools, tool))


async def searched(run: Run, trail: list[Attempt], grounding: Grounding, search: Search) -> Answer:
    """Return the answer of the model once it has searched enough, streamed where the call is.

    run: asks the cascade once, which appends to the trail.
    """
    call = grounding.call
    name = _named(call.tools[-1])
    turn = msgspec.structs.replace(call, stream=False, include_usage=False)
    for left in range(grounding.wanted.retrieve.max_searches, -1, -1):
        if not left:
            turn = _with_tools(turn, tuple(tool for tool in turn.tools if _named(tool) != name))
        found = await run(turn)
        message = found.completion.choices[0].message if found.completion is not None else {}
        calls: list[JsonObject] = message.get("tool_calls") or []
        mine = [each for each in calls if _called(each) == name]
        if not mine or not left:
            break
        if len(mine) < len(calls):
            message["tool_calls"] = [each for each in calls if _called(each) != name]
            break
        _mark(trail)
        results = [await _run(each, place, grounding, search, turn) for place, each in enumerate(mine)]
        turn = continued(turn, [{"role": "assistant", "content": message.get("content"), "tool_calls": mine}, *results])
    if call.stream and found.completion is not None:
        flow = Spoken(found.completion, call)
        return Answer(found.target, found.commit_reason, found.confidence, stream=flow)
    return found


async def _run(asked: JsonObject, place: int, grounding: Grounding, search: Search, turn: ChatCall) -> JsonObject:
    return {
        "role": "tool",
        "tool_call_id": asked.get("id") or "",
        "content": await _found(asked, place, grounding, search, turn),
    }


async def _found(asked: JsonObject, place: int, grounding: Grounding, search: Search, turn: ChatCall) -> str:
    if place >= MAX_CALLS:
        return TOO_MANY
    try:
        given = msgspec.json.decode((asked.get("function") or {}).get("arguments") or "", type=Arguments)
    except msgspec.DecodeError:
        return BAD_QUERY
    query = given.query.strip()
    if not 0 < len(query) <= MAX_QUERY_CHARS:
        return BAD_QUERY
    try:
        context = await search(grounding, query, estimate_tokens(turn))
    except Overloaded as error:
        grounding.pass_over(error)
        return NOT_DONE
    return context.text or NO_PASSAGES


def _mark(trail: list[Attempt]) -> None:
    """Tell in the trail that the last answer went into a search and not to the client."""
    for place in range(len(trail) - 1, -1, -1):
        if trail[place].outcome == "committed":
            trail[place] = msgspec.structs.replace(trail[place], outcome="searched")
            return


def _with_tools(call: ChatCall, tools: tuple[JsonObject, ...]) -> ChatCall:
    wire = {key: value for key, value in call.wire.items() if key != "tools"}
    if tools:
        wire["tools"] = list(tools)
    else:
        wire = {key: value for key, value in wire.items() if key not in {"tool_choice", "parallel_tool_calls"}}
    choice = call.tool_choice if tools else None
    return msgspec.structs.replace(call, tools=tools, tool_choice=choice, wire=wire)


def _named(tool: JsonObject) -> str:
    return str((tool.get("function") or {}).get("name") or "")


def _called(asked: JsonObject) -> str:
    return str((asked.get("function") or {}).get("name") or "")
