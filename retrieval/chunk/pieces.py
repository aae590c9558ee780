"""Blocks cut into pieces under a budget: tables, code and records whole where they fit, prose by sentences.

What is longer than the budget in one sentence or line goes to semchunk. A piece's cost is its tokens, or its characters
over a bound where a tokenizer takes a long word for one token. Pure but for the tokenizer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, cast

import msgspec
from semchunk.semchunk import chunk as cut_by_meaning

from headrace.retrieval.chunk.blocks import Block, cut, trimmed
from headrace.retrieval.chunk.tokens import Tokenizer

_CLOSERS: Final = ")\"'\u201d\u2019\\]*_"
_SENTENCE: Final = re.compile(
    rf"(?:(?<=[.!?\u2026])|(?<=[.!?\u2026][{_CLOSERS}]))\s+"  # behind a sentence, and what closes with it
    "|(?<=[\u3002\uff01\uff1f])"  # the full stops of Chinese and Japanese need no blank
    r"|\n(?=[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t])"  # before an item of a list
)
_LINE: Final = re.compile(r"\n")
_MOST_CHARACTERS_PER_TOKEN: Final = 10
_BATCH: Final = 256  # blocks that are counted in one call
_SLAB: Final = 50_000  # characters that are cut in one go


class Piece(msgspec.Struct, frozen=True):
    """text[start:end], part of a block and not cut any more."""

    start: int
    end: int
    cost: int
    block: Block


class Span(msgspec.Struct, frozen=True):
    """text[start:end] and what it counts."""

    start: int
    end: int
    tokens: int

    @property
    def cost(self) -> int:
        """Its tokens, or more where a tokenizer takes a long word for one."""
        return max(self.tokens, -(-(self.end - self.start) // _MOST_CHARACTERS_PER_TOKEN))


class Meter:
    """Counts spans of one text."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self._tokenizer = tokenizer

    def measure(self, bounds: Sequence[tuple[int, int]]) -> list[Span]:
        """Return the spans with their tokens, all counted in one call."""
        counts = self._tokenizer.count([self.text[start:end] for start, end in bounds])
        return [Span(start, end, tokens) for (start, end), tokens in zip(bounds, counts, strict=True)]

    def fitted(self, spans: Iterable[Span], most: int) -> Iterator[Span]:
        """Yield the spans, those over the cost `most` in parts."""
        for span in spans:
            if span.cost <= most:
                yield span
            else:
                yield from self.measure(list(self._split(span.start, span.end, most)))

    def _split(self, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
        """Yield spans of at most that cost which hold everything of this span that is not blank."""
        for first, last in _slabs(self.text, start, end):
            for low, high in self._semchunk(self.text[first:last], most):
                yield from trimmed(self.text, first + low, first + high)

    def _semchunk(self, text: str, most: int) -> list[tuple[int, int]]:
        found = cut_by_meaning(text, chunk_size=most, token_counter=self._cost, memoize=False, offsets=True)
        return cast("tuple[list[str], list[tuple[int, int]]]", found)[1]

    def _cost(self, text: str) -> int:
        return Span(0, len(text), self._tokenizer.count([text])[0]).cost


def pieces(found: Iterable[Block], meter: Meter, most: int) -> Iterator[list[Piece]]:
    """Yield the pieces of each block, in order."""
    stream = iter(found)
    while batch := list(islice(stream, _BATCH)):
        whole = meter.measure([(block.start, block.end) for block in batch])
        is_cut = [block.kind == "prose" or span.cost > most for block, span in zip(batch, whole, strict=True)]
        fine = [_fine(block, meter.text) for block, cut_up in zip(batch, is_cut, strict=True) if cut_up]
        measured = iter(meter.measure([bounds for parts in fine for bounds in parts]))
        lengths = iter(map(len, fine))
        for block, span, cut_up in zip(batch, whole, is_cut, strict=True):
            spans = list(islice(measured, next(lengths))) if cut_up else [span]
            yield [Piece(part.start, part.end, part.cost, block) for part in meter.fitted(spans, most)]


def _fine(block: Block, text: str) -> list[tuple[int, int]]:
    border = _LINE if block.kind == "lines" else _SENTENCE
    return list(cut(text, block.start, block.end, border))


def _slabs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield parts of bounded length, cut at a blank where there is one near."""
    while end - start > _SLAB:
        border = max(
            text.rfind(" ", start + _SLAB // 2, start + _SLAB), text.rfind("\n", start + _SLAB // 2, start + _SLAB)
        )
        middle = border + 1 if border >= 0 else start + _SLAB
        yield start, middle
        start = middle
    yield start, end
