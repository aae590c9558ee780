import pytest

from headrace.contracts.routing import Difficulty
from headrace.gateway.grounding.auto import may_help, probed
from tests.support.documents import COFFEE, LEAVE, TRAVEL, hit


def judged(value: float, *, unfamiliar: bool = False) -> Difficulty:
    return Difficulty(value, "chat", unfamiliar=unfamiliar)


def test_the_probe_tells_how_much_of_the_question_one_passage_holds() -> None:
    hits = [hit(COFFEE, 3), hit(LEAVE, 1), hit(TRAVEL, 2)]
    assert probed(hits, "How many days of paid leave do employees get?") == 1.0
    assert probed(hits, "Who won the paid lottery in Lisbon?") < 0.5
    assert probed([], "How many days of leave?") == 0.0


def test_small_talk_is_covered_by_nothing() -> None:
    assert probed([hit("thanks")], "Thanks!") == 0.0


@pytest.mark.parametrize(
    ("difficulty", "covered", "expected"),
    [
        (judged(0.0), 0.8, True),
        (judged(0.0), 0.6, False),
        (judged(0.5), 0.6, True),
        (judged(0.0, unfamiliar=True), 0.6, True),
        (judged(0.9), 0.4, False),
    ],
)
def test_documents_that_speak_of_it_help_and_ones_that_touch_it_help_with_what_is_hard(
    difficulty: Difficulty, covered: float, expected: bool
) -> None:
    assert may_help(difficulty, covered) is expected
