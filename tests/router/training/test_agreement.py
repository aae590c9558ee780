import pytest

from headrace.router.training.agreement import agreement, content_words, said, support
from headrace.router.training.labelled import Question

NUMBER = Question("n", "gsm8k_few", "?", "number", {"answer": "7"})
CHOICE = Question("c", "pubmedqa", "?", "choice", {"answer": "yes", "choices": ["yes", "no", "maybe"]})
LITERAL = Question("l", "crux", "?", "literal", {"answer": "[1]"})
CODE = Question("h", "humaneval", "?", "python_tests", {"prompt": "def f(x):\n", "entry_point": "f", "test": ""})
YES_NO = Question("y", "yes_no", "?", "contains_word", {"answers": ["yes"], "kind": "yes_no"})
FREE = Question("f", "fact", "?", "contains_word", {"answers": ["Paris"]})


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (NUMBER, "It is 7.", "3 + 4 = 7.0"),
        (CHOICE, "Yes, it does.", "yes"),
        (LITERAL, "assert f(1) == [1]", "[1]"),
        (CODE, "```python\ndef f(x):\n    return x  # same\n```", "```python\ndef f(x):\n\n    return x\n```"),
        (YES_NO, "Yes.", "yes, of course"),
        (FREE, "The capital is Paris.", "the capital: Paris"),
    ],
)
def test_the_same_answer_in_other_words_agrees(question: Question, one: str, other: str) -> None:
    assert agreement(question, one, other) == 1.0


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (NUMBER, "7", "8"),
        (NUMBER, "7", "seven"),
        (CHOICE, "yes", "no"),
        (LITERAL, "[1]", "[2]"),
        (FREE, "Paris", "Rome"),
    ],
)
def test_another_answer_does_not_agree(question: Question, one: str, other: str) -> None:
    assert agreement(question, one, other) == 0.0


def test_free_texts_agree_in_part() -> None:
    assert 0.0 < agreement(FREE, "Paris on the Seine", "Paris") < 1.0
    assert agreement(FREE, "", "Paris") == 0.0


def test_code_that_does_not_parse_is_compared_as_it_is() -> None:
    broken = "```python\ndef f(x:\n```"
    assert said(CODE, broken) == "def f(x:"


def test_support_is_the_share_of_new_words_that_the_passage_holds() -> None:
    passage = "Aspirin lowers fever in mice."
    question = Question("p", "pubmedqa", f"{passage}\n\nDoes it help?", "choice", CHOICE.gold, passage=passage)
    assert support(question, "Aspirin lowers fever.") == 1.0
    assert support(question, "Aspirin cures elephants") == pytest.approx(1 / 3)
    assert support(question, "") == 0.0
    assert support(FREE, "Paris") is None


def test_words_that_say_nothing_are_left_out() -> None:
    assert content_words("The Cat is on THE mat") == {"cat", "mat"}
