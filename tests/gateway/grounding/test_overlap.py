import pytest

from headrace.gateway.grounding.overlap import coverage, numbers, sentences, words


def test_words_carry_meaning_and_lose_their_plural() -> None:
    assert words("What are the Rules of the offices?") == words("the rule, in an office")
    assert words("Where is it?") == frozenset()
    assert words("glass and status and bus") == {"glass", "status", "bus"}


def test_numbers_are_whole() -> None:
    assert numbers("27 days, 3.5 hours and 1,000 people in B12") == {"27", "3.5", "1,000"}


def test_coverage_is_the_share_of_what_was_wanted() -> None:
    assert coverage(frozenset("abcd"), frozenset("ab")) == 0.5
    assert coverage(frozenset(), frozenset("ab")) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there.", ["One here.", "Two there."]),
        ("One at 3.5 percent. two goes on", ["One at 3.5 percent. two goes on"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("- first\n- second\n\nthird", ["- first", "- second", "third"]),
        ("これは猫です。それは犬です。", ["これは猫です。", "それは犬です。"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_keep_their_place(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_an_endless_sentence_is_cut() -> None:
    assert max(end - start for start, end in sentences("word " * 1000)) <= 1000
