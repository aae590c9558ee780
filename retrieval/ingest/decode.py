"""From bytes to characters: byte order marks first, then UTF-8, then what the bytes look like. Pure."""

import codecs
import re
from typing import Final

from charset_normalizer import from_bytes

from headrace.retrieval.ingest import refusals

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE: Final = 4096
_GUESSED_FROM: Final = 1 << 18
_MOST_CONTROLS: Final = 0.02
_WESTERN: Final = "cp1252"
_MORE_CHAOS: Final = 0.08
_MOST_ACCENTS: Final = 0.2
_CONTROLS: Final = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")


def decode(content: bytes, *, declared: str | None = None) -> str:
    """Return the text of bytes; InvalidRequest `unsupported_file` where they are no text.

    declared: the encoding that the document itself names, taken if it fits.
    """
    text = _by_mark(content) or _as(content, "utf-8") or _by_zeros(content)
    if text is None and declared is not None:
        text = _as(content, declared)
    if text is None:
        text = _by_looks(content)
    if text is None:
        raise refusals.unsupported("is binary: its bytes are text in no known encoding")
    position = text.find("\x00")
    if position >= 0:
        raise refusals.unsupported(f"is binary: a NUL stands at character {position}")
    sample = text[:_GUESSED_FROM]
    if len(_CONTROLS.findall(sample)) > _MOST_CONTROLS * len(sample):
        raise refusals.unsupported("is binary: it is full of control characters")
    return text


def _by_mark(content: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    return None


def _by_zeros(content: bytes) -> str | None:
    """Decode UTF-16 without a mark: mostly Latin text in it has a zero in every second byte."""
    sample = content[: _SAMPLE & ~1]
    for zeros, others, encoding in (
        (sample[1::2], sample[::2], "utf-16-le"),
        (sample[::2], sample[1::2], "utf-16-be"),
    ):
        if zeros and zeros.count(0) > len(zeros) // 2 and not others.count(0):
            return _as(content, encoding)
    return None


def _by_looks(content: bytes) -> str | None:
    """Decode by what the letters look like; Western European where that is as likely as the best guess."""
    sample = content[:_GUESSED_FROM]
    guesses = from_bytes(sample)
    best = guesses.best()
    if best is None:
        return None
    western = any(
        _WESTERN in guess.could_be_from_charset
        and guess.chaos <= best.chaos + _MORE_CHAOS
        and guess.coherence >= best.coherence
        for guess in guesses
    )
    rare = sum(byte > 0x7F for byte in sample) < _MOST_ACCENTS * len(sample)  # noqa: PLR2004  (ASCII's last)
    encoding = _WESTERN if western or (rare and not best.coherence) else best.encoding
    return content.decode(encoding, errors="replace")


def _as(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError):
        return None
    return None if encoding == "utf-8" and "\x00" in text else text
