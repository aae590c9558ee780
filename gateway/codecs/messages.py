"""The `messages` of a chat request: one struct a role, content parts by kind, and the plain text that the router reads.

Messages go upstream as the bytes that came, so fields we do not know survive; this module only refuses what is
malformed and what no tier can read (images, audio, files).
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from headrace.contracts.chat import Message
from headrace.contracts.errors import InvalidRequest

MAX_MESSAGES: Final = 2_048
MAX_PARTS: Final = 1_024
MAX_CALLS: Final = 128

Name = Annotated[str, Meta(max_length=256)]


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    """Plain text."""

    text: str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    """A refusal the assistant gave before."""

    refusal: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    """An image by URL or inline; refused, no tier reads images and no caller's URL is ever fetched."""


class AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    """Spoken input; refused."""


class FilePart(msgspec.Struct, tag_field="type", tag="file"):
    """An attached file; refused."""


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart
Content = str | Annotated[list[Part], Meta(min_length=1, max_length=MAX_PARTS)]


class CalledFunction(msgspec.Struct):
    """The function of an earlier tool call, with its arguments as JSON text."""

    name: Name
    arguments: str


class FunctionToolCall(msgspec.Struct, tag_field="type", tag="function"):
    """A function the assistant called before."""

    id: Name
    function: CalledFunction


class CalledCustom(msgspec.Struct):
    """The custom tool of an earlier call, with free-form input."""

    name: Name
    input: str


class CustomToolCall(msgspec.Struct, tag_field="type", tag="custom"):
    """A custom tool the assistant called before."""

    id: Name
    custom: CalledCustom


class _Turn(msgspec.Struct, tag_field="role"):
    name: Name | None = None


class System(_Turn, tag="system", kw_only=True):
    """Instructions of the application."""

    content: Content


class Developer(_Turn, tag="developer", kw_only=True):
    """Instructions of the application, by the newer name."""

    content: Content


class User(_Turn, tag="user", kw_only=True):
    """What the person said."""

    content: Content


class Assistant(_Turn, tag="assistant", kw_only=True):
    """What a model said before."""

    content: Content | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[FunctionToolCall | CustomToolCall], Meta(max_length=MAX_CALLS)] | None = None
    function_call: CalledFunction | None = None


class Tool(_Turn, tag="tool", kw_only=True):
    """What a tool answered."""

    content: Content
    tool_call_id: Name


class Function(_Turn, tag="function", kw_only=True):
    """What a function answered, by the retired role."""

    content: Content | None = None


Turn = System | Developer | User | Assistant | Tool | Function
Turns = Annotated[list[Turn], Meta(min_length=1, max_length=MAX_MESSAGES)]

_ROLES: Final = {turn: str(turn.__struct_config__.tag) for turn in (System, Developer, User, Assistant, Tool, Function)}
_MEDIA: Final[dict[type[Any], str]] = {ImagePart: "image_url", AudioPart: "input_audio", FilePart: "file"}


def as_messages(turns: list[Turn]) -> tuple[Message, ...]:
    """Return what the router reads; InvalidRequest names the part that no tier can take."""
    return tuple([Message(_ROLES[type(turn)], _text(turn, index)) for index, turn in enumerate(turns)])


def _text(turn: Turn, index: int) -> str:
    if isinstance(turn, Assistant):
        _check_assistant(turn, index)
    content = turn.content
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(_part_text(part, f"messages[{index}].content[{place}]") for place, part in enumerate(content))


def _part_text(part: Part, at: str) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, RefusalPart):
        return part.refusal
    kind = _MEDIA[type(part)]
    raise InvalidRequest(
        f"'{at}.{kind}' cannot be read: every tier takes text only; send the content as text",
        param=f"{at}.{kind}",
        code="unsupported_content",
    )


def _check_assistant(turn: Assistant, index: int) -> None:
    if turn.content is None and not turn.tool_calls and turn.function_call is None and turn.refusal is None:
        raise InvalidRequest(
            f"'messages[{index}].content' is required unless the message holds 'tool_calls'",
            param=f"messages[{index}].content",
            code="missing_required_parameter",
        )
