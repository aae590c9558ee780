"""The structure of a text: paragraphs, tables, code and records with the headings they stand under. Pure.

A block is text[start:end]; blocks follow each other, do not overlap and hold every character that is not blank.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, Literal

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

from headrace.contracts.retrieval import Converted

Kind = Literal["heading", "prose", "lines"]

_BLANK: Final = re.compile(r"\n[ \t]*\n\s*")
_DEFINITIONS: Final = re.compile(r"\n\s*\n(?=\S)")  # code: a blank line before what stands at the margin
_LINE: Final = re.compile(r"\n")
_SPACE: Final = re.compile(r"[ \t]+")
_MOST_HEADING: Final = 120  # characters of one heading that are kept
_LINED: Final = {"fence", "code_block", "table_open", "html_block"}


class Block(msgspec.Struct, frozen=True):
    """kind: prose breaks at sentences, lines only between lines. path: the headings above it. page: from 1."""

    start: int
    end: int
    kind: Kind
    path: tuple[str, ...] = ()
    page: int | None = None


def blocks(converted: Converted) -> Iterator[Block]:
    """Yield the blocks of a converted file in their order."""
    text = converted.text
    if converted.form == "markdown":
        yield from _markdown(text)
    elif converted.form == "records":
        yield from (Block(*span, "lines") for span in cut(text, 0, len(text), _LINE))
    elif converted.form == "code":
        yield from (Block(*span, "lines") for span in cut(text, 0, len(text), _DEFINITIONS))
    else:
        bounds = [*converted.pages, len(text)] if converted.pages else [0, len(text)]
        for number, (start, end) in enumerate(pairwise(bounds), start=1):
            page = number if converted.pages else None
            yield from (Block(*span, "prose", (), page) for span in cut(text, start, end, _BLANK))


def cut(text: str, start: int, end: int, border: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Yield the pieces between borders, without blanks round them."""
    position = start
    for found in border.finditer(text, start, end):
        yield from trimmed(text, position, found.start())
        position = found.end()
    yield from trimmed(text, position, end)


def trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the span without blanks round it, nothing where all of it is blank."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def _markdown(text: str) -> Iterator[Block]:
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    lines = [0, *(found.end() for found in _LINE.finditer(text)), len(text)]
    path: list[tuple[int, str]] = []
    position = 0
    for opening, content in _top(parser.parse(text)):
        first, last = opening.map or (0, 0)
        start, end = max(position, lines[first]), lines[min(last, len(lines) - 1)]
        yield from _prose(text, position, start, path)  # what the parser leaves out: link definitions
        kind: Kind = "lines" if opening.type in _LINED else "prose"
        if opening.type == "heading_open":
            kind = "heading"
            level = int(opening.tag[1:])
            path = [above for above in path if above[0] < level]
            path.append((level, _SPACE.sub(" ", content.replace("\n", " ")).strip(" #*_")[:_MOST_HEADING]))
        yield from (Block(*span, kind, _names(path)) for span in trimmed(text, start, end))
        position = max(position, end)
    yield from _prose(text, position, len(text), path)


def _top(tokens: Iterable[Token]) -> Iterator[tuple[Token, str]]:
    """Yield the outermost tokens that cover lines, each with the source of the text right behind it."""
    opening: Token | None = None
    for token in tokens:
        if opening is not None:
            yield opening, token.content
            opening = None
        if token.level == 0 and token.nesting >= 0 and token.map is not None:
            opening = token
    if opening is not None:
        yield opening, ""


def _prose(text: str, start: int, end: int, path: list[tuple[int, str]]) -> Iterator[Block]:
    for span in cut(text, start, end, _BLANK):
        yield Block(*span, "prose", _names(path))


def _names(path: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in path if name)
