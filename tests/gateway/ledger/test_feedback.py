import pytest

from headrace.gateway.ledger.feedback import Feedback, decode_feedback, encode_feedback
from headrace.gateway.ledger.record import decode, encode
from tests.support.records import record

SAID = Feedback(1, "dec_1", "2026-01-01T00:00:00.000+00:00", "alice", "research", 0.5, "too long")


def test_feedback_comes_back_as_it_went() -> None:
    assert decode_feedback(encode_feedback(SAID)) == SAID


def test_feedback_is_no_record_and_a_record_no_feedback() -> None:
    assert decode(encode_feedback(SAID)) is None
    assert decode_feedback(encode(record("dec_1"))) is None


@pytest.mark.parametrize("line", [b"", b"{", encode_feedback(SAID)[:-9], b"[]", b"\xff"])
def test_a_torn_line_is_passed_over(line: bytes) -> None:
    assert decode_feedback(line) is None
