"""How large chunks are: what was asked for, brought down to what the embedder takes in one piece. Pure."""

from typing import Final

import msgspec

from headrace.contracts.errors import InvalidRequest

SMALLEST: Final = 16  # tokens; under it nothing is a passage
_HEADING_ROOM: Final = 0.8  # of the embedder's window; the rest is for the headings embedded with a chunk


class Sizes(msgspec.Struct, frozen=True):
    """max_tokens of a chunk by the embedder's tokenizer, and how many of them repeat the end of the one before."""

    max_tokens: int = 200
    overlap: int = 40


AUTO: Final = Sizes()


def fit(asked: Sizes, window: int) -> Sizes:
    """Return sizes whose chunks the embedder takes whole, in the proportion that was asked for.

    OpenAI's 800 tokens with 400 of overlap become 204 and 102 in a window of 254: a passage longer than what the
    embedder reads would be found by its beginning only.
    """
    if asked.max_tokens < SMALLEST:
        raise InvalidRequest(
            f"a chunk of {asked.max_tokens} tokens is too small; at least {SMALLEST}", param="max_tokens"
        )
    if not 0 <= asked.overlap <= asked.max_tokens // 2:
        raise InvalidRequest(
            f"an overlap of {asked.overlap} tokens does not fit chunks of {asked.max_tokens}; at most half of them",
            param="overlap",
        )
    most = max(SMALLEST, int(window * _HEADING_ROOM) if asked.max_tokens > AUTO.max_tokens else window)
    if asked.max_tokens <= most:
        return asked
    return Sizes(most, asked.overlap * most // asked.max_tokens)
