"""Which passages an answer may be said to rest on. Pure; a citation is checked or left out, never made up.

An answer cites by number ([2]) or by quoting. A quoted span must stand in the passage, whatever its case and white
space; the sentence of a number without a quote must share words with it. What fails is dropped and counted. An answer
that cites nothing gets a citation where a sentence of a passage holds nearly all its words and every number of it.
"""

# ruff: noqa: RUF001  (quotes and dashes as printers set them)

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from headrace.gateway.grounding.clean import visible
from headrace.gateway.grounding.context import Shown
from headrace.gateway.grounding.overlap import coverage, numbers, sentences, words

LEAST_QUOTE: Final = 20  # characters; shorter ones count only as whole sentences
SHARED: Final = 0.25  # of a numbered sentence's words, from where its passage is about it
SAID: Final = 0.75  # of a sentence's words, from where a sentence of a passage says the same
LEAST_WORDS: Final = 4  # that such a sentence must have
MAX_CITATIONS: Final = 64
MAX_ANSWER_CHARS: Final = 100_000

_MARK: Final = re.compile(r"[\[【](\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)[\]】]")
_COUNT: Final = re.compile(r"(\d{1,3})(?:\s*[–-]\s*(\d{1,3}))?")
_QUOTE: Final = re.compile(r"\"([^\"\n]{2,1000})\"|“([^“”\n]{2,1000})”|«([^«»\n]{2,1000})»|„([^„“”\n]{2,1000})[“”]")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]{0,1000}`", re.DOTALL)
_ALIKE: Final = str.maketrans("‘’‛“”„«»–—−‐‑…", '\'\'\'"""""-----.')


class Citation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A span of a document that an answer rests on; quote is text[start:end] of the converted document.

    index: the passage's number in the prompt, which is what [n] in the answer means. page: from 1, where there are any.
    """

    file_id: str
    filename: str
    start: int
    end: int
    quote: str
    index: int
    page: int | None = None


class Checked(msgspec.Struct, frozen=True):
    """The citations of one answer that hold, in its order, and how many did not."""

    kept: tuple[Citation, ...] = ()
    dropped: int = 0


def check(answer: str, shown: Sequence[Shown], question: str = "") -> Checked:
    """Return what the answer's marks and quotes come to; question: stands in for a sentence of yes or no."""
    text = _CODE.sub(lambda code: " " * len(code.group()), visible(answer[:MAX_ANSWER_CHARS]))
    by_number = {one.number: one for one in shown}
    found: list[Citation | None] = []
    for sentence, marks, quotes in _claims(text):
        said = words(sentence) or words(question)
        for number in marks:
            cited = by_number.get(number)
            found += [None] if cited is None else _marked(cited, said, quotes)
        if not marks:
            found += [_anywhere(quote, shown) for quote in quotes]
    if not found:
        found = [_said(sentence, shown) for sentence, _, _ in _claims(text)]
        found = [one for one in found if one is not None]
    kept = dict.fromkeys(one for one in found if one is not None)
    return Checked(tuple(kept)[:MAX_CITATIONS], found.count(None))


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Return where the quote stands in the text, whatever its case, white space and kind of quotes; None if nowhere."""
    wanted, _ = _folded(quote)
    wanted = wanted.strip(" .,;:!?'\"-")
    folded, places = _folded(text)
    at = folded.find(wanted) if wanted else -1
    while at >= 0:
        end = at + len(wanted)
        if not _joins(folded, at) and not _joins(folded, end):
            return places[at], places[end - 1] + 1
        at = folded.find(wanted, at + 1)
    return None


def _claims(text: str) -> Iterator[tuple[str, list[int], list[str]]]:
    """Yield each sentence without its marks, the numbers it cites, what it quotes; a lone mark ends the last one."""
    held: tuple[str, list[int], list[str]] | None = None
    for start, end in sentences(text):
        sentence = text[start:end]
        marks = [number for mark in _MARK.finditer(sentence) for number in _numbers(mark.group(1))]
        plain = _MARK.sub("", sentence)
        if held is not None and marks and not words(plain):
            held[1].extend(marks)
            continue
        if held is not None:
            yield held
        spans = ["".join(filter(None, match.groups())) for match in _QUOTE.finditer(plain)]
        held = (plain, marks, [span for span in spans if _is_quote(span)])
    if held is not None:
        yield held


def _numbers(text: str) -> Iterator[int]:
    for low, high in _COUNT.findall(text):
        yield from range(int(low), min(int(high), int(low) + 9) + 1) if high else (int(low),)


def _is_quote(span: str) -> bool:
    stripped = span.strip()
    return len(stripped) >= LEAST_QUOTE or (stripped[-1:] in ".!?" and len(stripped.split()) > 1)


def _marked(cited: Shown, said: frozenset[str], quotes: Sequence[str]) -> list[Citation | None]:
    if quotes:
        return [_quoted(quote, cited) for quote in quotes]
    best, share = _closest(said, cited)
    return [_span(cited, best) if best is not None and share >= SHARED else None]


def _anywhere(quote: str, shown: Sequence[Shown]) -> Citation | None:
    return next((found for one in shown if (found := _quoted(quote, one)) is not None), None)


def _quoted(quote: str, cited: Shown) -> Citation | None:
    """Cite the quoted words; where only the cleaned text has them, the whole passage."""
    place = locate(quote, cited.passage.text)
    if place is None and locate(quote, cited.text) is not None:
        place = (0, len(cited.passage.text))
    return None if place is None else _span(cited, place)


def _said(sentence: str, shown: Sequence[Shown]) -> Citation | None:
    said = words(sentence)
    if len(said) < LEAST_WORDS:
        return None
    best: tuple[float, Shown, tuple[int, int]] | None = None
    for one in shown:
        place, share = _closest(said, one)
        if place is None or share < SAID or not numbers(sentence) <= numbers(one.passage.text[slice(*place)]):
            continue
        if best is None or share > best[0]:
            best = (share, one, place)
    return None if best is None else _span(best[1], best[2])


def _closest(said: frozenset[str], cited: Shown) -> tuple[tuple[int, int] | None, float]:
    """Return the sentence of the passage that shares most of the words, and how many it shares, 0..1."""
    text = cited.passage.text
    places = [(coverage(said, words(text[start:end])), (start, end)) for start, end in sentences(text)]
    share, place = max(places, key=lambda each: each[0], default=(0.0, None))
    return place, share


def _span(cited: Shown, place: tuple[int, int]) -> Citation:
    passage = cited.passage
    start, end = place
    return Citation(
        file_id=passage.document,
        filename=passage.name,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
        index=cited.number,
        page=passage.page,
    )


def _folded(text: str) -> tuple[str, list[int]]:
    """Return the text for comparing, and the place of each of its characters in the original."""
    made: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        if char.isspace():
            if made and made[-1] != " ":
                made.append(" ")
                places.append(at)
        elif visible(char):
            for folded in char.casefold().translate(_ALIKE):
                made.append(folded)
                places.append(at)
    return "".join(made), places


def _joins(text: str, at: int) -> bool:
    """Tell whether a word goes on across this place."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
