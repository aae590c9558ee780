import msgspec

from headrace.contracts.feedback import Feedback
from headrace.gateway.ledger.feedback import encode_feedback
from headrace.gateway.ledger.record import decode

SAID = Feedback(1, "dec_1", "2026-01-01T00:00:00.000+00:00", "alice", "research", 0.5, "too long")


def test_feedback_is_one_line_that_comes_back_as_it_went() -> None:
    line = encode_feedback(SAID)
    assert line.endswith(b"}\n")
    assert msgspec.json.decode(line, type=Feedback) == SAID


def test_feedback_is_no_record() -> None:
    assert decode(encode_feedback(SAID)) is None
