from typing import Any

import msgspec
import pytest

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.chat import read_call
from headrace.gateway.grounding.context import Context, Shown
from headrace.gateway.grounding.prompt import continued, grounded, question_of
from headrace.gateway.tools.kinds import standard_kinds
from tests.support.documents import LEAVE, hit

CONTEXT = Context((Shown(1, hit(LEAVE), LEAVE),), "PASSAGES\n\n", 9)


def read(*messages: dict[str, Any]) -> ChatCall:
    body = msgspec.json.encode({"model": "m", "messages": list(messages)})
    return read_call(body, kinds=standard_kinds(), max_depth=64)


def turns(call: ChatCall) -> list[dict[str, Any]]:
    decoded: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(call.wire["messages"]))
    return decoded


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def test_passages_go_before_the_last_question_and_no_other_turn_changes() -> None:
    earlier = [said("system", "Be kind."), user("Hello"), {**said("assistant", "Hi"), "odd": 1}]
    call = grounded(read(*earlier, {**user("How many days?"), "name": "ann"}), CONTEXT)
    assert turns(call)[:3] == earlier
    assert turns(call)[3] == {"role": "user", "content": "PASSAGES\n\nQuestion: How many days?", "name": "ann"}
    assert call.messages[3] == Message("user", "PASSAGES\n\nQuestion: How many days?")
    assert [message.role for message in call.messages] == ["system", "user", "assistant", "user"]


def test_parts_of_a_question_stay_parts() -> None:
    parts = [{"type": "text", "text": "How many"}, {"type": "text", "text": "days?"}]
    call = grounded(read(user(parts)), CONTEXT)
    assert turns(call)[0]["content"] == [{"type": "text", "text": "PASSAGES\n\nQuestion: "}, *parts]


def test_a_question_asked_before_a_tool_answered_gets_them_too() -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [called]}
    call = grounded(read(user("Q"), asked, {"role": "tool", "content": "42", "tool_call_id": "c1"}), CONTEXT)
    assert turns(call)[0]["content"] == "PASSAGES\n\nQuestion: Q"
    assert turns(call)[2]["content"] == "42"


def test_without_passages_nothing_changes() -> None:
    call = read(user("Q"))
    assert grounded(call, Context()) is call


def test_a_conversation_goes_on_with_a_call_and_its_result() -> None:
    call = continued(grounded(read(user("Q")), CONTEXT), [said("assistant", ""), said("tool", "found")])
    assert [turn["role"] for turn in turns(call)] == ["user", "assistant", "tool"]
    assert call.messages[-1] == Message("tool", "found")


def test_the_last_question_is_searched_for_led_by_the_one_before_where_it_is_short() -> None:
    long = "How many days of paid leave does a new employee get each year?"
    assert question_of(read(user("Hello"), user(long))) == long
    assert question_of(read(user(long), said("assistant", "27."), user("And in Spain?"))) == f"{long}\nAnd in Spain?"
    assert question_of(read(user(long))) == long
    assert len(question_of(read(user("x" * 100_000)))) == 4_000


def test_a_conversation_without_a_user_has_no_question() -> None:
    with pytest.raises(InvalidRequest, match="no user message"):
        question_of(read(said("system", "Be kind."), user("  ")))
