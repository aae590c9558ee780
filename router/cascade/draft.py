"""What a streamed answer says so far, put together from its deltas: enough to judge its form."""

from headrace.contracts.chat import ChunkChoice, JsonObject


class Draft:
    """Collects the text and tool calls of one choice."""

    __slots__ = ("_text", "_tool_calls", "finish_reason")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._tool_calls: dict[int, JsonObject] = {}
        self.finish_reason: str | None = None

    def add(self, choice: ChunkChoice) -> None:
        """Take one delta."""
        if text := choice.delta.get("content"):
            self._text.append(text)
        for part in choice.delta.get("tool_calls") or ():
            self._add_tool_call(part)
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason

    @property
    def has_tool_calls(self) -> bool:
        """True once the first piece of a tool call came."""
        return bool(self._tool_calls)

    @property
    def has_answer(self) -> bool:
        """True once anything but reasoning came."""
        return bool(self._text or self._tool_calls)

    def message(self) -> JsonObject:
        """Return the message as a whole answer would carry it."""
        message: JsonObject = {"content": "".join(self._text)}
        if self._tool_calls:
            calls = sorted(self._tool_calls.items())
            message["tool_calls"] = [
                {"function": {"name": call["name"], "arguments": "".join(call["arguments"])}} for _, call in calls
            ]
        return message

    def _add_tool_call(self, part: JsonObject) -> None:
        call = self._tool_calls.setdefault(part.get("index", 0), {"name": "", "arguments": []})
        function = part.get("function") or {}
        call["name"] = function.get("name") or call["name"]
        if arguments := function.get("arguments"):
            call["arguments"].append(arguments)
