import pytest

from benchmarks.rag.scores import declines, exact, f1, plain, verdict


def test_marks_articles_and_punctuation_do_not_count() -> None:
    assert plain("The  ferry leaves, at 7:40 [1][2, 3].") == "ferry leaves at 740"


def test_f1_is_the_best_over_the_references() -> None:
    assert f1("the red house", ["A red house.", "something else"]) == 1.0
    assert f1("red house by sea", ["red house"]) == pytest.approx(2 / 3)
    assert f1("nothing", ["red house"]) == 0.0
    assert f1("nothing", []) == 0.0


def test_exact_is_a_reference_that_stands_in_the_answer_as_whole_words() -> None:
    assert exact("It leaves from pier nine [1].", ["Pier nine"])
    assert not exact("It leaves from pier ninety.", ["Pier nine"])
    assert not exact("anything", [""])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("Yes, it does.", "yes"), ("The answer is No.", "no"), ("Maybe. Yes.", "maybe"), ("Nobody knows", "")],
)
def test_the_first_verdict_counts(answer: str, expected: str) -> None:
    assert verdict(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The documents do not tell [1].", True),
        ("I am sorry, but I found nothing in the documents that answers this.", True),
        ("The passages provided don't mention the date.", True),
        ("It is not specified in the text.", True),
        ("I cannot answer this question.", True),
        ("", True),
        ("It is 27 days [1].", False),
        ("He did not win the race in 1931 [2].", False),
        ("The bridge, which has no rivets, was rebuilt in 1931.", False),
    ],
)
def test_an_answer_declines_when_it_says_so(answer: str, expected: bool) -> None:
    assert declines(answer) is expected
