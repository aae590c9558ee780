"""Turns text into hashed character and word n-grams with numpy alone. Knows nothing of weights or labels.

Every substring hash comes from one running sum: with H[i] = sum(byte[j] * P**j for j < i) modulo 2**64, the bytes
from `start` to `end` hash to (H[end] - H[start]) * P**-start, so all n-grams of an order are one subtraction and
one product (Karp and Rabin, 1987; P is odd, hence invertible).
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Slots = npt.NDArray[np.uint32]
Bits = npt.NDArray[np.int64]

HEAD_CHARS: Final = 1400
TAIL_CHARS: Final = 600
MAX_BYTES: Final = 4 * (HEAD_CHARS + TAIL_CHARS + 1)
CHAR_ORDERS: Final = (3, 5)
TABLE_BITS: Final = 16
TABLE_SIZE: Final = 1 << TABLE_BITS
KNOWN_BITS: Final = 19

_PRIME: Final = 0x9E3779B97F4A7C15
_MIX: Final = np.uint64(0xFF51AFD7ED558CCD)
_PAIR: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_FOLD_SHIFT: Final = np.uint64(31)
_SLOT_SHIFT: Final = np.uint64(64 - TABLE_BITS)
_KNOWN_SHIFT: Final = np.uint64(64 - KNOWN_BITS)
_CHARS_FROM: Final = np.uint32(TABLE_SIZE)
_ORDER_SEEDS: Final = {order: np.uint64(order) for order in CHAR_ORDERS}


class Ngrams(msgspec.Struct, frozen=True):
    """Slots of one text (with repeats), words and word pairs first, and its word hashes before they are cut to slots.

    Characters' slots are shifted by TABLE_SIZE, so that one array indexes the two weight tables laid end to end.
    """

    slots: Slots
    word_hashes: U64

    @property
    def words(self) -> Slots:
        """Return the slots of words and word pairs."""
        return self.slots[self.slots < TABLE_SIZE]

    @property
    def chars(self) -> Slots:
        """Return the slots of character n-grams, counted from 0."""
        return self.slots[self.slots >= TABLE_SIZE] - np.uint32(TABLE_SIZE)


def cut(text: str) -> str:
    """Return the text, or its head and tail when it is longer than the judge looks at."""
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"


def ngrams(text: str) -> Ngrams:
    """Hash the character n-grams, words and word pairs of `text` (already cut). Case, digits and spacing are folded."""
    raw = _folded(text)
    length = len(raw)
    running = np.empty(length + 1, dtype=np.uint64)
    running[0] = 0
    weighted = np.frombuffer(raw.translate(_ONE_DIGIT), dtype=np.uint8).astype(np.uint64)
    weighted *= _POWERS[:length]
    weighted.cumsum(out=running[1:])
    words = _word_hashes(raw, running)
    parts = [words, words[:-1] * _PAIR + words[1:]]
    for order in CHAR_ORDERS:
        if length >= order:
            spans = running[order:] - running[:-order]
            spans *= _INVERSES[: length + 1 - order]
            spans += _ORDER_SEEDS[order]
            parts.append(spans)
    hashes = np.concatenate(parts)
    hashes ^= hashes >> _FOLD_SHIFT
    hashes *= _MIX
    hashes >>= _SLOT_SHIFT
    slots = hashes.astype(np.uint32)
    slots[max(0, 2 * words.size - 1) :] += _CHARS_FROM
    return Ngrams(slots, words)


def known_bits(word_hashes: U64) -> Bits:
    """Return the bit of each word in the table of known words."""
    return ((word_hashes * _PAIR) >> _KNOWN_SHIFT).view(np.int64)


def _folded(text: str) -> bytes:
    """Return the text in lower case, one blank between words and round them all, as bytes.

    Tables and searches on bytes cost a tenth of lowering, splitting and joining, which only capitals and blanks beyond
    ASCII need.
    """
    raw = text.encode("utf-8", "replace")
    wide = raw.translate(None, _ASCII).decode()
    if "".join(wide.lower().split()) != wide:
        raw = " ".join(text.lower().split()).encode("utf-8", "replace")
    raw = raw.translate(_LOWERED)
    while b"  " in raw:
        raw = raw.replace(b"  ", b" ")
    return b" " + raw.strip(b" ") + b" "


def _word_hashes(raw: bytes, running: U64) -> U64:
    is_word = np.frombuffer(raw.translate(_IS_WORD), dtype=np.bool_)
    edges = (is_word[1:] != is_word[:-1]).nonzero()[0]
    edges += 1
    starts, ends = edges[0::2], edges[1::2]
    hashes: U64 = running.take(ends)
    hashes -= running.take(starts)
    hashes *= _INVERSES.take(starts)
    return hashes


def _powers(base: int) -> U64:
    values, power = [], 1
    for _ in range(MAX_BYTES + 3):
        values.append(power)
        power = power * base % 2**64
    return np.array(values, dtype=np.uint64)


def _is_word(byte: int) -> bool:
    return byte in b"abcdefghijklmnopqrstuvwxyz0_" or byte >= len(_ASCII)


_POWERS: Final = _powers(_PRIME)
_INVERSES: Final = _powers(pow(_PRIME, -1, 2**64))
_ASCII: Final = bytes(range(128))
_LOWERED: Final = bytes(ord(" ") if byte in _ASCII and chr(byte).isspace() else byte for byte in range(256)).lower()
_ONE_DIGIT: Final = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_IS_WORD: Final = bytes(map(_is_word, range(256)))
