import msgspec
import pytest

from headrace.contracts.feedback import Feedback

SAID = {"v": 1, "feedback": "dec_1", "time": "t", "key": "k", "tenant": "t", "score": 0.5}


def test_feedback_comes_back_as_it_went() -> None:
    said = msgspec.convert(SAID, Feedback)
    assert msgspec.json.decode(msgspec.json.encode(said), type=Feedback) == said
    assert b"comment" not in msgspec.json.encode(said)


@pytest.mark.parametrize("wrong", [{"score": 2}, {"score": "1"}, {"v": 2}, {"feedback": None}])
def test_what_is_no_feedback_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**SAID, **wrong}, Feedback)
