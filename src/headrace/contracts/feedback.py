"""What people said of answers, as the ledger keeps it and replay and training read it."""

from typing import Annotated, Literal

import msgspec


class Feedback(msgspec.Struct, frozen=True, omit_defaults=True):
    """One judgement of one answer; a line of this kind has `feedback` where a record has `decision`.

    feedback: the decision's id. score: from 0 (useless) to 1 (right). comment: the caller's words, the only ones of a
    caller that the ledger holds.
    """

    v: Literal[1]
    feedback: str
    time: str
    key: str
    tenant: str
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    comment: str = ""
