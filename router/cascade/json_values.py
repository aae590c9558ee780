"""Tells the tokens of a JSON text that carry values from those that carry its form.

Under a grammar, braces, colons, commas, quotes and property names are mostly forced, and a forced token says nothing
about whether the answer is right. How sure the engine calls it depends on when it takes log-probabilities (before or
after the grammar's mask), so form is told from content by reading the JSON, not by looking at the number.
"""


class ValueScanner:
    """Reads a JSON text piece by piece. counts_bare_text: a scalar outside any container is a value.

    (A JSON answer may be a bare number; the markers round a tool call are no values.)
    """

    __slots__ = ("_counts_bare_text", "_expects_key", "_is_escaped", "_is_key", "_is_string", "_open")

    def __init__(self, *, counts_bare_text: bool) -> None:
        self._counts_bare_text = counts_bare_text
        self._open: list[str] = []
        self._is_string = False
        self._is_key = False
        self._is_escaped = False
        self._expects_key = False

    def feed(self, piece: str) -> bool:
        """Read the next piece; True when at least one of its characters belongs to a value."""
        carries = False
        for char in piece:
            if self._is_string:
                carries |= self._inside_string(char)
            else:
                carries |= self._outside_string(char)
        return carries

    def _inside_string(self, char: str) -> bool:
        if self._is_escaped:
            self._is_escaped = False
        elif char == "\\":
            self._is_escaped = True
        elif char == '"':
            self._is_string = False
            return False
        return not self._is_key and self._counts

    def _outside_string(self, char: str) -> bool:
        if char == '"':
            self._is_string = True
            self._is_key = self._expects_key
        elif char in "{[":
            self._open.append(char)
            self._expects_key = char == "{"
        elif char in "}]":
            if self._open:
                self._open.pop()
            self._expects_key = False
        elif char == ",":
            self._expects_key = bool(self._open) and self._open[-1] == "{"
        elif char == ":":
            self._expects_key = False
        else:
            return not char.isspace() and self._counts
        return False

    @property
    def _counts(self) -> bool:
        return bool(self._open) or self._counts_bare_text
