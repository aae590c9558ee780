"""What people said of answers: one line of the ledger each, beside the records of the decisions they are about."""

from typing import Final

import msgspec

VERSION: Final = 1


class Feedback(msgspec.Struct, frozen=True, omit_defaults=True):
    """One judgement of one answer; a line of this kind has `feedback` where a record has `decision`.

    feedback: the decision's id. score: from 0 (useless) to 1 (right). comment: the caller's words, the only ones of a
    caller that the ledger holds.
    """

    v: int
    feedback: str
    time: str
    key: str
    tenant: str
    score: float
    comment: str = ""


def encode_feedback(feedback: Feedback) -> bytes:
    """Return one JSON line with its end."""
    return msgspec.json.encode(feedback) + b"\n"


def decode_feedback(line: bytes) -> Feedback | None:
    """Return the feedback in a line, None for a torn line or one of another kind."""
    try:
        return _DECODE(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_DECODE: Final = msgspec.json.Decoder(Feedback).decode
