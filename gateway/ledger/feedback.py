"""The ledger's line for what somebody said of an answer, beside the record of the decision it is about."""

from typing import Final

import msgspec

from headrace.contracts.feedback import Feedback

VERSION: Final = 1


def encode_feedback(feedback: Feedback) -> bytes:
    """Return one JSON line with its end."""
    return msgspec.json.encode(feedback) + b"\n"
