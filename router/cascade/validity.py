"""Whether an answer keeps the form the client asked for: tool arguments and JSON. A free and exact judge of its kind.

Schemas are the client's: remote references are never fetched, patterns run in linear time, sizes are bounded.
"""

from typing import Any, Final

import jsonschema_rs
import msgspec

from headrace.contracts.chat import ChatCall, JsonObject

MAX_TEXT_CHARS: Final = 1_000_000
MAX_SCHEMA_BYTES: Final = 65_536

_LINEAR_TIME: Final = jsonschema_rs.RegexOptions()


def fault(call: ChatCall, message: JsonObject) -> str:
    """Return what is wrong with the form of a finished answer, empty when it is sound.

    A schema that is itself broken, too large, or points elsewhere accepts every well-formed JSON.
    """
    tool_calls = message.get("tool_calls") or []
    for tool_call in tool_calls:
        if wrong := _tool_fault(call, tool_call.get("function") or {}):
            return wrong
    if tool_calls:
        return ""
    if call.tool_choice == "required" or isinstance(call.tool_choice, dict):
        return "tool_choice asks for a tool call and there is none"
    if call.wants_json:
        wrong = _json_fault(message.get("content") or "", _answer_schema(call))
        return f"the answer {wrong}" if wrong else ""
    return ""


def _tool_fault(call: ChatCall, function: JsonObject) -> str:
    name = function.get("name")
    declared = next((each for tool in call.tools if (each := tool.get("function") or {}).get("name") == name), None)
    if declared is None:
        return f"a call of the tool {name!r}, which the request does not offer"
    arguments = function.get("arguments") or "{}"
    wrong = _json_fault(arguments, declared.get("parameters", {"type": "object"}))
    return f"the arguments of {name!r}: the text {wrong}" if wrong else ""


def _answer_schema(call: ChatCall) -> Any:  # noqa: ANN401  (a JSON schema is an object or a boolean)
    described = (call.response_format or {}).get("json_schema") or {}
    return described.get("schema", {"type": "object"})


def _json_fault(text: str, schema: Any) -> str:  # noqa: ANN401  (a JSON schema is an object or a boolean)
    if len(text) > MAX_TEXT_CHARS:
        return f"is over {MAX_TEXT_CHARS} characters"
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "is not JSON"
    return "" if _fits(value, schema) else "does not fit its schema"


def _fits(value: object, schema: Any) -> bool:  # noqa: ANN401  (a JSON schema is an object or a boolean)
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        return True
    try:
        return jsonschema_rs.is_valid(schema, value, offline=True, pattern_options=_LINEAR_TIME)
    except ValueError:  # of the schema: a broken keyword, a reference elsewhere, a pattern without a linear-time form
        return True
