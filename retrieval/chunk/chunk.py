"""Passages of a converted file: by its structure, under a budget of the embedder's tokens, with exact offsets.

Promises: text[start:end] is the chunk's text; everything that is not blank is in a chunk; no chunk is over the budget;
none crosses a page. Tables and code blocks stay whole where they fit, a heading stays with what follows it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final

from headrace.contracts.retrieval import Chunk, Converted
from headrace.retrieval.chunk.blocks import blocks
from headrace.retrieval.chunk.pieces import Meter, Piece, pieces
from headrace.retrieval.chunk.sizes import AUTO, Sizes, fit
from headrace.retrieval.chunk.tokens import Tokenizer

_SECTION: Final = 4  # a chunk under this part of the budget takes in the next section too
_BETWEEN: Final = " > "


def chunk(
    converted: Converted,
    *,
    max_tokens: int = AUTO.max_tokens,
    overlap: int = AUTO.overlap,
    tokenizer: Tokenizer,
) -> tuple[Chunk, ...]:
    """Return the passages of a file; sizes over the embedder's window are brought down to it (sizes.fit)."""
    sizes = fit(Sizes(max_tokens, overlap), tokenizer.window)
    meter = Meter(converted.text, tokenizer)
    packed = list(pack(pieces(blocks(converted), meter, sizes.max_tokens), sizes))
    spans = meter.measure([(group[0].start, group[-1].end) for group in packed])
    chunks = [
        Chunk(meter.text[part.start : part.end], part.start, part.end, part.tokens, _heading(group), _page(group))
        for group, span in zip(packed, spans, strict=True)
        for part in meter.fitted([span], sizes.max_tokens)
    ]
    return tuple(sorted(chunks, key=lambda one: one.start))


def pack(groups: Iterable[list[Piece]], sizes: Sizes) -> Iterator[list[Piece]]:
    """Yield the pieces of each chunk: as many as fit, broken where the structure breaks."""
    packing = _Packing(sizes)
    for group in groups:
        if group:
            yield from packing.take(group)
    yield from packing.rest()


class _Packing:
    """The chunk being filled. `repeated` of its pieces are in the chunk `before` too, if one goes on in the other."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._current: list[Piece] = []
        self._cost = 0
        self._before: list[Piece] = []
        self._repeated = 0

    def take(self, group: Sequence[Piece]) -> Iterator[list[Piece]]:
        """Add a block's pieces; yields the chunks that are full."""
        if self._current and self._breaks_before(group[0]):
            yield from self._flush(overlap=0)
        elif self._is_better_whole(group):
            yield from self._flush(self._sizes.overlap)
        for piece in group:
            if not self._has_room(piece):
                yield from self._flush(min(self._sizes.overlap, self._sizes.max_tokens - piece.cost))
            if not self._has_room(piece):  # headings that were moved on
                yield from self._flush(overlap=0)
            self._current.append(piece)
            self._cost += piece.cost

    def rest(self) -> Iterator[list[Piece]]:
        """Yield what is left."""
        if len(self._current) > self._repeated:
            yield self._led(self._current)

    def _has_room(self, piece: Piece) -> bool:
        return self._cost + piece.cost <= self._sizes.max_tokens

    def _breaks_before(self, piece: Piece) -> bool:
        """Tell whether a page or a section ends here; a section that is too small takes in the next one."""
        if piece.block.page != self._current[-1].block.page:
            return True
        return piece.block.kind == "heading" and self._cost > self._sizes.max_tokens // _SECTION

    def _is_better_whole(self, group: Sequence[Piece]) -> bool:
        """Tell whether a block that would be cut here fits the next chunk whole, and this one is half full."""
        whole, most = _total(group), self._sizes.max_tokens
        return self._cost + whole > most >= whole and 2 * self._cost > most

    def _flush(self, overlap: int) -> Iterator[list[Piece]]:
        """Yield the chunk; the next one begins with headings that stood at its end, or else with its last pieces."""
        done, fresh = self._current, len(self._current) - self._repeated
        led = self._led(done) if fresh else []
        headings = sum(1 for _ in takewhile(_is_heading, reversed(done)))
        self._current, self._before, self._repeated = [], [], 0
        if not fresh:
            self._cost = 0
            return
        if 0 < headings < fresh:
            led, self._current = led[:-headings], done[-headings:]
        elif overlap > 0:
            self._before, self._current = done, _tail(done, overlap)
            self._repeated = len(self._current)
        self._cost = _total(self._current)
        yield led

    def _led(self, done: list[Piece]) -> list[Piece]:
        """Return a chunk of a few words with more of what is before it: alone it would say little but its heading."""
        lead = self._before[1 : len(self._before) - self._repeated]
        cost, wanted = _total(done), self._sizes.max_tokens // _SECTION
        while lead and cost < wanted and cost + lead[-1].cost <= self._sizes.max_tokens:
            cost += lead[-1].cost
            done = [lead.pop(), *done]
        return done


def _total(pieces_: Sequence[Piece]) -> int:
    return sum(piece.cost for piece in pieces_)


def _is_heading(piece: Piece) -> bool:
    return piece.block.kind == "heading"


def _tail(done: Sequence[Piece], overlap: int) -> list[Piece]:
    """Return the last pieces that cost at most `overlap`, never all of them."""
    tail: list[Piece] = []
    for piece in reversed(done[1:]):
        overlap -= piece.cost
        if overlap < 0:
            break
        tail.insert(0, piece)
    return tail


def _page(group: Sequence[Piece]) -> int | None:
    return group[0].block.page


def _heading(group: Sequence[Piece]) -> str:
    """Return the headings that all pieces stand under."""
    paths = [piece.block.path for piece in group]
    pairs = zip(min(paths), max(paths), strict=False)
    return _BETWEEN.join(name for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
