"""What a shadow answered: one line of the ledger each, beside the record of the decision that it mirrors. No text."""

from typing import Final

import msgspec

from headrace.contracts.routing import Attempt

VERSION: Final = 1


class ShadowRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mirrored request; a line of this kind has `shadow` where a record has `decision`.

    shadow: the decision's id. answered_by: the model whose answer the client got. outcome: "ok", or the kind of error.
    attempt: times in seconds from the start of the mirrored call; its cost is charged to no client. confidence:
    calibrated P(right) of the shadow's answer, None where it cannot be judged. agrees: both answers come down to the
    same; None where there is nothing to compare.
    """

    v: int
    shadow: str
    time: str
    tenant: str
    virtual_model: str
    revision: str
    answered_by: str
    outcome: str
    attempt: Attempt | None = None
    confidence: float | None = None
    agrees: bool | None = None


def encode_shadow(record: ShadowRecord) -> bytes:
    """Return one JSON line with its end."""
    return msgspec.json.encode(record) + b"\n"
