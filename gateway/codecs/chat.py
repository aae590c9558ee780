"""`POST /v1/chat/completions`: the request as bytes to a ChatCall, and a whole answer back to bytes.

Streams are rendered in gateway/streaming.py.
"""

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw

from headrace.contracts.chat import ChatCall, Choice, Completion, JsonObject
from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import FileSearch
from headrace.gateway import strict
from headrace.gateway.codecs import fields
from headrace.gateway.codecs.fields import Fields, Metadata, Sampling, Tokens, Unread
from headrace.gateway.codecs.file_search import ForcedFileSearch, Include, split
from headrace.gateway.codecs.messages import Turns, as_messages
from headrace.gateway.tools.kinds import MAX_TOOLS, ToolKinds, ToolName
from headrace.gateway.tools.schema import check_schema

T = TypeVar("T")
Tools = Annotated[list[dict[str, Any]], Meta(max_length=MAX_TOOLS)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class NamedFunction(msgspec.Struct, forbid_unknown_fields=True):
    """The name that a forced call must have."""

    name: ToolName


class ForcedFunction(msgspec.Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """`tool_choice` that forces one function."""

    function: NamedFunction


class ForcedCustom(msgspec.Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    """`tool_choice` that forces one custom tool."""

    custom: NamedFunction


class AllowedTools(msgspec.Struct, forbid_unknown_fields=True):
    """The part of `tools` that may be called in this turn."""

    mode: Literal["auto", "required"]
    tools: Tools


class Allowed(msgspec.Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """`tool_choice` that narrows the tools without changing the list."""

    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | ForcedFunction | ForcedCustom | ForcedFileSearch | Allowed


class TextFormat(msgspec.Struct, tag_field="type", tag="text"):
    """Free text."""


class JsonFormat(msgspec.Struct, tag_field="type", tag="json_object"):
    """Any JSON object."""


class NamedSchema(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON Schema with the name OpenAI asks for."""

    name: ToolName
    description: Annotated[str, Meta(max_length=16_384)] | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class SchemaFormat(msgspec.Struct, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: NamedSchema


class ChatRequest(Sampling, kw_only=True, forbid_unknown_fields=True):
    """Every field of OpenAI's chat request, and those of common engines.

    `messages`, `tools`, `tool_choice` and `response_format` stay as they came; they are read apart.
    """

    messages: Raw
    tools: Unread = UNSET
    tool_choice: ToolChoice | None = None
    response_format: Unread = UNSET
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_completion_tokens: Tokens | None = None
    metadata: Metadata | None = None
    include: Annotated[list[Include], Meta(max_length=8)] | None = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Meta(max_length=2)] | None = None
    safety_identifier: Annotated[str, Meta(max_length=512)] | None = None
    prompt_cache_key: Annotated[str, Meta(max_length=512)] | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    prompt_cache_options: dict[str, Any] | None = None
    audio: Unread = UNSET
    prediction: Unread = UNSET
    moderation: Unread = UNSET
    web_search_options: Unread = UNSET
    functions: Unread = UNSET
    function_call: Unread = UNSET


_UNSUPPORTED: Final = {
    "audio": "no tier speaks; leave it out",
    "prediction": "no tier takes predicted output; leave it out",
    "moderation": "no tier moderates; leave it out",
    "web_search_options": "no tier searches the web; leave it out",
    "functions": "it is retired; send the same functions as 'tools'",
    "function_call": "it is retired; use 'tool_choice'",
}
_REFUSED: Final = Fields(*_UNSUPPORTED)
_FORWARDED: Final = Fields(
    *fields.FORWARDED, "max_completion_tokens", "parallel_tool_calls", "reasoning_effort", "verbosity"
)
_NO_NULL: Final = frozenset({"content", "refusal"})

_REQUEST: Final = msgspec.json.Decoder(ChatRequest)
_TURNS: Final = msgspec.json.Decoder(Turns)
_TOOLS: Final = msgspec.json.Decoder(Tools)
_FORMAT: Final = msgspec.json.Decoder(TextFormat | JsonFormat | SchemaFormat)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_ENCODE: Final = msgspec.json.Encoder().encode


def read_call(body: bytes, *, kinds: ToolKinds, max_depth: int) -> ChatCall:
    """Return the validated call; InvalidRequest names the field that is wrong or that no tier can do."""
    request = strict.decode(body, _REQUEST, max_depth=max_depth)
    _refuse_unsupported(request)
    messages = as_messages(_part(request.messages, _TURNS, "messages"))
    wire = _FORWARDED.of(request)
    if request.max_completion_tokens is not None:
        wire.pop("max_tokens", None)
    wire["messages"] = request.messages
    tools, choice, file_search = _read_tools(request, kinds, wire)
    answer_format = _read_format(request, wire)
    return ChatCall(
        model=request.model,
        endpoint="chat",
        messages=messages,
        wire=wire,
        stream=bool(request.stream),
        include_usage=fields.includes_usage(request),
        n=request.n or 1,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs,
        tools=tools,
        tool_choice=choice,
        response_format=answer_format,
        metadata=request.metadata or {},
        user=request.user or request.safety_identifier,
        file_search=file_search,
        shows_hits=bool(request.include),
    )


def render(answer: Completion, *, answer_id: str, created: int, model: str) -> bytes:
    """Return a whole answer as OpenAI's body; what is absent is left out, never null."""
    body: JsonObject = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice(choice) for choice in answer.choices],
    }
    if answer.usage is not None:
        body["usage"] = answer.usage
    return _ENCODE(body)


def clean_message(message: JsonObject) -> JsonObject:
    """Return a message or delta without empty optional fields, and with one name for reasoning text."""
    clean = {key: value for key, value in message.items() if value is not None and value != []}
    if "reasoning" in clean:
        clean.setdefault("reasoning_content", clean.pop("reasoning"))
        clean.pop("reasoning", None)
    return clean


def _choice(choice: Choice) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": None, "refusal": None} | clean_message(choice.message)
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason or "stop",
    }


def _refuse_unsupported(request: ChatRequest) -> None:
    fields.refuse_set(request, _REFUSED, _UNSUPPORTED)
    if request.modalities is not None and "audio" in request.modalities:
        raise _unsupported("modalities", "every tier answers in text only; leave 'audio' out")
    if request.store:
        raise _unsupported("store", "answers are not stored; leave it out or send false")
    if request.service_tier not in (None, "auto", "default"):
        raise _unsupported("service_tier", "there is one kind of service; send 'auto' or leave it out")
    if request.top_logprobs is not None and not request.logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")


def _unsupported(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"'{name}' is not supported here: {why}", param=name, code="unsupported_parameter")


def _part(raw: Raw, decoder: msgspec.json.Decoder[T], at: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as exc:
        raise strict.translate(exc, at=at) from exc


def _read_tools(
    request: ChatRequest, kinds: ToolKinds, wire: dict[str, Any]
) -> tuple[tuple[JsonObject, ...], str | JsonObject | None, FileSearch | None]:
    """Return the client's own tools, its choice among them, and its file search; wire gets what goes upstream."""
    choice = request.tool_choice
    asked = _part(request.tools, _TOOLS, "tools") if fields.is_set(request.tools) else []
    names = kinds.read(asked)
    tools = asked
    if isinstance(choice, Allowed) and asked:
        tools = _narrow(asked, names, choice.allowed_tools)
        choice = choice.allowed_tools.mode
    if isinstance(choice, ForcedFunction | ForcedCustom) and asked:
        _check_forced(choice, names)
    is_forced = isinstance(choice, ForcedFileSearch)
    tools, file_search = split(tools, is_forced=is_forced or choice == "required")
    if is_forced and file_search is None:
        raise InvalidRequest("'tool_choice' asks for 'file_search', which is not in 'tools'", param="tool_choice")
    if is_forced or (file_search is not None and not tools and choice == "required"):
        choice = None
    if not tools:
        if choice not in (None, "none", "auto"):
            raise InvalidRequest("'tool_choice' is only allowed when 'tools' are specified", param="tool_choice")
        wire.pop("parallel_tool_calls", None)
        return (), None, None if choice == "none" else file_search
    wire["tools"] = request.tools if len(tools) == len(asked) else tools
    plain: str | JsonObject | None = msgspec.to_builtins(choice)
    if plain is not None:
        wire["tool_choice"] = plain
    return tuple(tools), plain, None if choice == "none" else file_search


def _check_forced(choice: ForcedFunction | ForcedCustom, names: dict[str, str]) -> None:
    kind = "function" if isinstance(choice, ForcedFunction) else "custom"
    name = choice.function.name if isinstance(choice, ForcedFunction) else choice.custom.name
    if names.get(name) != kind:
        raise InvalidRequest(
            f"'tool_choice' asks for the {kind} '{name}', which is not in 'tools'",
            param="tool_choice",
            code="invalid_value",
        )


def _narrow(tools: list[JsonObject], names: dict[str, str], allowed: AllowedTools) -> list[JsonObject]:
    wanted = {_name_of(tool) for tool in allowed.tools}
    if strange := sorted(wanted - names.keys()):
        raise InvalidRequest(
            f"'tool_choice' allows {strange[0][:100]!r}, which is not in 'tools'",
            param="tool_choice.allowed_tools.tools",
        )
    return [tool for tool in tools if _name_of(tool) in wanted]


def _name_of(tool: JsonObject) -> str:
    """Return the name `tool_choice` knows a tool by; one without a name of its own is known by its type."""
    kind = str(tool.get("type"))
    inner = tool.get(kind)
    return str((inner if isinstance(inner, dict) else tool).get("name") or kind)


def _read_format(request: ChatRequest, wire: dict[str, Any]) -> JsonObject | None:
    if not fields.is_set(request.response_format):
        return None
    shape = _part(request.response_format, _FORMAT, "response_format")
    if isinstance(shape, TextFormat):
        return None
    if isinstance(shape, SchemaFormat) and shape.json_schema.schema is not None:
        check_schema(shape.json_schema.schema, at="response_format.json_schema.schema")
    wire["response_format"] = request.response_format
    return _OBJECT.decode(request.response_format)
