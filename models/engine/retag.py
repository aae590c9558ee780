"""Finds tool calls that a model wrote as plain JSON and puts the tags of Hermes' format round them. Pure text work.

Small models often write a call bare, or in a fence of Markdown, where their template asks for `<tool_call>` tags.
"""

import json
import re
from functools import lru_cache
from typing import Final

# Where a call may open: at the start of the text or of a line, or right behind a call.
_OPENING: Final = re.compile(r"(?:\A\s*|^)(`{1,3}|[\[{])|<tool_call>", re.MULTILINE)
_NEXT: Final = re.compile(r"[ \t,;]*([\[{])")
_FENCE: Final = re.compile(r"```(?:json)?\s*")
_GAP: Final = re.compile(r"[\s,;]*")
_KEYS: Final = ("arguments", "parameters")
_HEAD_CHARS: Final = 512  # more than the longest head of a call, pretty-printed
_DECODER: Final = json.JSONDecoder()


def retag(text: str, names: frozenset[str], *, is_final: bool = False) -> str:
    """Return the text with every untagged call of one of the named tools as `<tool_call>{...}</tool_call>`.

    A call is a JSON object whose first keys are name and arguments (or parameters), or a list of such objects, bare or
    in a fence that says json or nothing. It opens the text or a line, or follows another call. All else stays as it is,
    and so does everything from the first tag on that the model itself wrote.

    Unless the text is final, a tail that may still become a call is left out. So the result for a beginning of a
    text is a beginning of the result for the whole.
    """
    heads = _heads(names)
    out, done, at = "", 0, 0
    while opening := (_NEXT.match(text, at) if out and at == done else None) or _OPENING.search(text, at):
        start = opening.start(1)
        if start < 0:
            break
        if not _may_be_call(text[start : start + _HEAD_CHARS], heads):
            at = _after(text, start)
        elif unit := _read(text, start, names, is_final=is_final):
            calls, at = unit
            out += text[done:start] + calls
            done = at
        elif is_final:
            at = _after(text, start)
        else:
            return out + text[done:start]
    return out + text[done:]


@lru_cache(maxsize=32)  # asked with the same names for every delta of an answer
def _heads(names: frozenset[str]) -> tuple[str, ...]:
    """Return every beginning of a call, without white space."""
    bare = [f'{{"name":"{name}","{key}":{{' for name in names for key in _KEYS]
    openers = ("", "[", "```", "```[", "```json", "```json[")
    return tuple(opener + head for opener in openers for head in bare)


def _may_be_call(tail: str, heads: tuple[str, ...]) -> bool:
    squeezed = "".join(tail.split())
    may_grow = len(tail) < _HEAD_CHARS
    return squeezed.startswith(heads) or (may_grow and any(head.startswith(squeezed) for head in heads))


def _after(text: str, start: int) -> int:
    """Return where to look on behind what is no call: a fence is passed over whole."""
    if not text.startswith("```", start):
        return start + 1
    closing = text.find("\n```", start)
    return len(text) if closing < 0 else closing + len("\n```")


def _read(text: str, start: int, names: frozenset[str], *, is_final: bool) -> tuple[str, int] | None:
    """Return the tagged calls that stand here and where they end, None while there is no whole one."""
    fence = _FENCE.match(text, start)
    at = fence.end() if fence else start
    calls = ""
    while fence or not calls:
        try:
            value, end = _DECODER.raw_decode(text, at)
            calls += "".join(_tagged(call, names) for call in (value if isinstance(value, list) else [value]))
        except ValueError:
            break
        gap = _GAP.match(text, end)
        at = gap.end() if fence and gap else end
    if not calls or not fence:
        return (calls, at) if calls else None
    closing = text.find("```", at)
    if closing < 0:
        return (calls, len(text)) if is_final else None
    return calls, closing + len("```")


def _tagged(call: object, names: frozenset[str]) -> str:
    """Return a call in tags; ValueError when it is none."""
    named = call if isinstance(call, dict) else {}
    arguments = next((named[key] for key in _KEYS if key in named), None)
    if named.get("name") not in names or not isinstance(arguments, dict):
        raise ValueError("not a call of an offered tool")
    body = json.dumps({"name": named["name"], "arguments": arguments}, ensure_ascii=False, allow_nan=False)
    # A tag inside a string would end the call there.
    return "<tool_call>" + body.replace("tool_call>", r"tool_call\u003e") + "</tool_call>"
