import time
from typing import Any

import pytest

from headrace.router.cascade.validity import MAX_SCHEMA_BYTES, MAX_TEXT_CHARS, fault
from tests.support.routing import call, tool


def said(*calls: tuple[str, str], content: str = "") -> dict[str, Any]:
    made = [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls]
    return {"content": content, **({"tool_calls": made} if made else {})}


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": value}}


def test_plain_text_is_always_sound() -> None:
    assert fault(call(), said(content="{not json")) == ""


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("look_up", '{"place": "Rome"}', ""),
        ("look_up", '{"place": 3}', "schema"),
        ("look_up", '{"place": "Ro', "not JSON"),
        ("look_up", "", "schema"),
        ("delete_all", "{}", "does not offer"),
        ("look_up", "[" * 100_000, "not JSON"),
        ("look_up", " " * (MAX_TEXT_CHARS + 1), "over"),
    ],
)
def test_a_tool_call_names_an_offered_tool_and_fits_its_parameters(name: str, arguments: str, expected: str) -> None:
    found = fault(call(tools=(tool(),)), said((name, arguments)))
    assert (expected in found) if expected else found == ""


def test_every_tool_call_of_an_answer_is_checked() -> None:
    assert fault(call(tools=(tool(),)), said(("look_up", '{"place": "Rome"}'), ("look_up", "{")))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look_up"}}])
def test_a_tool_call_that_was_asked_for_must_come(choice: Any) -> None:
    assert "tool_choice" in fault(call(tools=(tool(),), tool_choice=choice), said(content="No."))
    assert fault(call(tools=(tool(),), tool_choice="auto"), said(content="No.")) == ""


@pytest.mark.parametrize(
    ("asked", "content", "expected"),
    [
        ({"type": "json_object"}, '{"a": 1}', ""),
        ({"type": "json_object"}, "[1]", "schema"),
        ({"type": "json_object"}, "Sure!", "not JSON"),
        (schema({"type": "integer"}), "3", ""),
        (schema({"type": "integer"}), '"3"', "schema"),
        (schema({"type": "array", "items": {"type": "string"}}), '["a"', "not JSON"),
    ],
)
def test_an_answer_in_a_response_format_keeps_it(asked: dict[str, Any], content: str, expected: str) -> None:
    found = fault(call(response_format=asked), said(content=content))
    assert (expected in found) if expected else found == ""


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "no-such-type"},
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "#/nowhere"},
        {"type": "string", "pattern": "(?=look)ahead"},
        {"description": "x" * MAX_SCHEMA_BYTES, "type": "string"},
    ],
)
def test_a_schema_that_cannot_be_used_accepts_every_json(odd: dict[str, Any]) -> None:
    assert fault(call(response_format=schema(odd)), said(content="1")) == ""


def test_a_hostile_pattern_takes_no_time() -> None:
    started = time.perf_counter()
    hostile = schema({"type": "string", "pattern": "^(a+)+$"})
    assert fault(call(response_format=hostile), said(content='"' + "a" * 5000 + '!"'))
    assert time.perf_counter() - started < 1.0
