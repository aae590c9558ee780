"""Puts passages before the question in a conversation: the last user turn gets them, no other turn is touched."""

from typing import Final

import msgspec

from headrace.contracts.chat import ChatCall, JsonObject, Message
from headrace.contracts.errors import InvalidRequest
from headrace.gateway.grounding.context import Context

FOLLOW_UP_WORDS: Final = 8  # a turn this short leans on the one before it
MAX_QUESTION_CHARS: Final = 4_000

_TURNS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TURN: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CONTENT: Final = msgspec.json.Decoder(str | list[msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode


def question_of(call: ChatCall) -> str:
    """Return what to search for: the last user turn, led by the one before it where it is only a few words.

    InvalidRequest where no user has said anything.
    """
    asked = [message.text.strip() for message in call.messages if message.role == "user" and message.text.strip()]
    if not asked:
        raise InvalidRequest("there is nothing to search for: 'messages' holds no user message", param="messages")
    question = asked[-1]
    if len(asked) > 1 and len(question.split(None, FOLLOW_UP_WORDS)) <= FOLLOW_UP_WORDS:
        question = f"{asked[-2][-MAX_QUESTION_CHARS:]}\n{question}"
    return question[-MAX_QUESTION_CHARS:]


def grounded(call: ChatCall, context: Context) -> ChatCall:
    """Return the call with the context before its last user turn; the call itself where there is none."""
    if not context.shown:
        return call
    last = max(index for index, message in enumerate(call.messages) if message.role == "user")
    lead = f"{context.text}Question: "
    turns = _turns(call)
    turn = _TURN.decode(turns[last])
    content = _CONTENT.decode(turn["content"])
    led: str | list[object] = f"{lead}{content}" if isinstance(content, str) else [_part(lead), *content]
    turns[last] = msgspec.Raw(_ENCODE({**turn, "content": led}))
    said = call.messages[last]
    messages = (*call.messages[:last], Message(said.role, f"{lead}{said.text}"), *call.messages[last + 1 :])
    return msgspec.structs.replace(call, messages=messages, wire={**call.wire, "messages": turns})


def continued(call: ChatCall, turns: list[JsonObject]) -> ChatCall:
    """Return the call with further turns at its end: a model's call of a tool, and what the tool found."""
    said = [Message(str(turn["role"]), str(turn.get("content") or "")) for turn in turns]
    wire = {**call.wire, "messages": [*_turns(call), *turns]}
    return msgspec.structs.replace(call, messages=(*call.messages, *said), wire=wire)


def _turns(call: ChatCall) -> list[msgspec.Raw]:
    messages = call.wire["messages"]
    return _TURNS.decode(messages) if isinstance(messages, msgspec.Raw) else list(messages)


def _part(text: str) -> JsonObject:
    return {"type": "text", "text": text}
