"""Markdown keeps its text; only what a rendered page would not show is taken out, except inside code."""

import re
from typing import Final

_HIDDEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style|template|noscript)\b[^>]*>.*?(?:</\1\s*>|\Z)"
    r"|<(\w+)\b[^>]*?(?:\shidden\b|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0)[^>]*>.*?(?:</\2\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_CODE: Final = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)|(`+)[^`\n]+\2", re.DOTALL | re.MULTILINE
)


def read(text: str) -> str:
    """Return Markdown without comments, scripts, styles and elements that are set to be invisible."""
    if "<" not in text:
        return text
    parts: list[str] = []
    position = 0
    while found := _HIDDEN.search(text, position):
        code = _code_round(text, position, found.start())
        if code is not None:
            parts.append(text[position:code])
            position = code
            continue
        parts.append(text[position : found.start()])
        position = found.end()
    return "".join(parts) + text[position:]


def _code_round(text: str, start: int, place: int) -> int | None:
    """Return where the code that `place` stands in ends, None where it stands in none."""
    for found in _CODE.finditer(text, start):
        if found.start() > place:
            return None
        if found.end() > place:
            return found.end()
    return None
