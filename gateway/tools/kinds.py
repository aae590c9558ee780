"""The open registry of tool kinds: what a client may put into `tools`, and whether a tier can be given it.

A new kind is a shape (its wire struct), its name for `tool_choice`, and `offered`: the reason it cannot be used yet,
or None. Register it where the gateway is wired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from headrace.contracts.chat import JsonObject
from headrace.contracts.errors import InvalidRequest
from headrace.gateway.strict import convert
from headrace.gateway.tools.file_search import FILE_SEARCH, FileSearchTool
from headrace.gateway.tools.schema import check_schema

MAX_TOOLS: Final = 128

ToolName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Description = Annotated[str, Meta(max_length=16_384)]


class NamedTool(Protocol):
    """A tool as it came: it has a name that `tool_choice` may ask for."""

    def tool_name(self) -> str:
        """Return the name."""
        ...

    def check(self, at: str) -> None:
        """Refuse what types alone cannot refuse."""
        ...


class FunctionShape(msgspec.Struct, forbid_unknown_fields=True):
    """A function with the JSON Schema of its arguments."""

    name: ToolName
    description: Description | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(msgspec.Struct):
    """`{"type": "function", "function": {...}}`."""

    function: FunctionShape

    def tool_name(self) -> str:
        """Return the function's name."""
        return self.function.name

    def check(self, at: str) -> None:
        """Refuse a schema that an engine should not compile."""
        if self.function.parameters is not None:
            check_schema(self.function.parameters, at=f"{at}.function.parameters")


class CustomShape(msgspec.Struct, forbid_unknown_fields=True):
    """A tool with free-form input, optionally bound by a grammar."""

    name: ToolName
    description: Description | None = None
    format: dict[str, Any] | None = None


class CustomTool(msgspec.Struct):
    """`{"type": "custom", "custom": {...}}`."""

    custom: CustomShape

    def tool_name(self) -> str:
        """Return the tool's name."""
        return self.custom.name

    def check(self, at: str) -> None:
        """Accept every shape: the struct says it all."""


@dataclass(frozen=True, slots=True)
class ToolKind:
    """One kind of tool; `name` is its wire `type`. `refused`: why no tier can be given it, empty when one can."""

    name: str
    shape: type[NamedTool]
    refused: str = ""


class ToolKinds:
    """The kinds this gateway knows. Filled once at start, then only read."""

    def __init__(self, kinds: Sequence[ToolKind] = ()) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def register(self, kind: ToolKind) -> None:
        """Add a kind; a later one of the same type replaces the earlier."""
        self._kinds[kind.name] = kind

    def read(self, tools: Sequence[JsonObject]) -> dict[str, str]:
        """Check every tool and return name -> type; InvalidRequest names the field."""
        names: dict[str, str] = {}
        for index, tool in enumerate(tools):
            at = f"tools[{index}]"
            kind = self._kind(tool.get("type"), at)
            parsed = convert(tool, kind.shape, at=at)
            if kind.refused:
                raise InvalidRequest(f"'{at}': {kind.refused}", param=f"{at}.type", code="unsupported_parameter")
            parsed.check(at)
            if parsed.tool_name() in names:
                raise InvalidRequest(f"'{at}': the name {parsed.tool_name()!r} stands twice in 'tools'", param=at)
            names[parsed.tool_name()] = kind.name
        return names

    def _kind(self, name: object, at: str) -> ToolKind:
        kind = self._kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            known = ", ".join(f"'{known}'" for known in self._kinds)
            shown = repr(name)[:100] if isinstance(name, str) else "no text"
            raise InvalidRequest(
                f"invalid value for '{at}.type': {shown}; supported values are: {known}",
                param=f"{at}.type",
                code="invalid_value",
            )
        return kind


def standard_kinds() -> ToolKinds:
    """Return the kinds of OpenAI's chat API; the engines take functions only, files the gateway searches itself."""
    return ToolKinds(
        [
            ToolKind("function", FunctionTool),
            ToolKind("custom", CustomTool, refused="no tier can call custom tools; describe it as a function"),
            ToolKind(FILE_SEARCH, FileSearchTool),
        ]
    )
