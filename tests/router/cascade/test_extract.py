"""What an answer comes down to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.router.cascade.extract import MAX_ANSWER_CHARS, extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It costs 12 + 30 = 42 dollars.", "42"),
        ("So the total is $1,234.50.", "1234.5"),
        ("The answer is 7, not 8.", "7"),
        ("The answer is 3 + 4 = 7.", "7"),
        ("#### 18", "18"),
        ("Thus \\boxed{-3.0}", "-3"),
        ("Adding up gives -0", "0"),
        ("(B) Paris", "B"),
        ("C", "C"),
        ("B. The second of 4", "B"),
        ("I think so because 2 > 1. The answer is (D).", "D"),
        ("The correct option is **A**.", "A"),
        ("Yes, since 3 is prime.", "yes"),
        ("No.", "no"),
        ("**Maybe**, the study is small.", "maybe"),
        ("Final answer: yes", "yes"),
        ("[ANSWER]f([1, 2]) == 'Ab'[/ANSWER]", "'Ab'"),
        ("[ANSWER][1,  2][/ANSWER]", "[1, 2]"),
        ("'Ab c'", "'Ab c'"),
        ("The capital is  Paris!", "capital is paris"),
        ("Here:\n```python\ndef f(x):\n    return x + 1\n```\nTry 3 values.", "def f(x): return x + 1"),
        ("My answer uses words only", "my answer uses words only"),
        ("", ""),
        ("  \n", ""),
    ],
)
def test_an_answer_comes_down_to_one_spelling(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


def test_two_spellings_of_one_number_agree() -> None:
    assert extract_answer("That makes 1,000.") == extract_answer("= 1000.00") == "1000"


def test_the_last_announcement_counts() -> None:
    assert extract_answer("The answer is 4. Wait, let me check. The answer is 5.\nDone with 9 steps.") == "5"


def test_a_number_of_any_length_has_a_bounded_spelling() -> None:
    assert len(extract_answer("9" * 15_000)) == MAX_ANSWER_CHARS
    assert extract_answer("It is ٤٢") == "42"


@settings(deadline=None)
@given(st.text(max_size=2_000))
def test_any_text_has_a_bounded_answer(text: str) -> None:
    assert len(extract_answer(text)) <= MAX_ANSWER_CHARS
