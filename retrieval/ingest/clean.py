"""What is taken out of every text: characters that nobody sees but a model reads. Pure.

Zero-width, bidirectional and tag characters, variation selectors and other format controls go; joiners stay where a
script needs them (between two non-Latin characters). Line ends become one newline, lone surrogates U+FFFD.
"""

import re
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]"
)
_JOINERS: Final = re.compile("[\u200c\u200d]{2,}|(?<![^\x00-\u02ff])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\u02ff])")
_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_BLANK_LINES: Final = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def clean(text: str) -> str:
    """Return the text without what cannot be seen."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    text = _SURROGATES.sub("\ufffd", text)
    text = _INVISIBLE.sub("", text)
    return _JOINERS.sub("", text)


def without_gaps(text: str) -> str:
    """Return the text with at most one blank line in a row and no blanks round it."""
    return _BLANK_LINES.sub("\n\n", text).strip()
