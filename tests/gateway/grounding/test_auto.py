import pytest

from headrace.contracts.routing import Difficulty
from headrace.gateway.grounding.auto import may_help
from tests.support.documents import COFFEE, LEAVE, TRAVEL, hit

HITS = [hit(COFFEE, 3), hit(LEAVE, 1), hit(TRAVEL, 2)]
SPOKEN_OF = "How many days of paid leave do employees get?"
TOUCHED = "Is unpaid leave lost in Portugal?"
NEVER_HEARD = "Who painted the chapel ceiling in Rome?"


def judged(value: float, *, unfamiliar: bool = False) -> Difficulty:
    return Difficulty(value, "chat", unfamiliar=unfamiliar)


@pytest.mark.parametrize(
    ("question", "difficulty", "expected"),
    [
        (SPOKEN_OF, judged(0.0), True),
        (TOUCHED, judged(0.0), False),
        (TOUCHED, judged(0.5), True),
        (TOUCHED, judged(0.0, unfamiliar=True), True),
        (NEVER_HEARD, judged(0.9), False),
    ],
)
def test_documents_that_speak_of_it_help_and_ones_that_touch_it_help_with_what_is_hard(
    question: str, difficulty: Difficulty, expected: bool
) -> None:
    assert may_help(question, HITS, difficulty) is expected


def test_small_talk_is_not_searched_for() -> None:
    assert not may_help("Thanks!", [hit("thanks for all")], judged(0.9))


def test_nothing_found_helps_nobody() -> None:
    assert not may_help(SPOKEN_OF, [], judged(0.9))
