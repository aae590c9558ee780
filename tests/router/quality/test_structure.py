import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.router.quality.structure import LONG_WORD, MOST_CHARS, NAMES, structure

CHOSEN = (
    "Which of the following 2 statements is NOT true?\n"
    "A. The rate is 1.5\nB. None of the above\nC. x = 3\nD. The sun\nAnswer:"
)
ODD_TEXTS = {
    "empty": "",
    "blank": " \n\t ",
    "binary": "\x00\x01\xff\ufffd" * 300,
    "lone surrogates": "\ud800\udfff" * 5,
    "Chinese": "法国的首都是哪里" * 40,
    "megabyte": "x" * 1_000_000,
    "no letters": "\\{}[]%$/<>" * 400,
}
PIECES = st.lists(
    st.sampled_from(
        ["the", "don't", "which of the following", "MOST", "İß", "“", "x1999", " 1999.", "2024", "201", "1,200.50",
         "3/4", "٣", "٣/٤", "12٣4", "%$", "\n", "\nA. ", "\nb) ", "\u00a0", "\ud800", "=^", "_", "{}", "法", " ", "  "]
    )
    | st.text(max_size=8),
    max_size=40,
).map("".join)  # fmt: skip


def feature(text: str, name: str) -> float:
    """Return one feature as the count it was made of."""
    return math.expm1(float(structure(text)[NAMES.index(name)]))


def test_every_name_is_said_once_and_has_a_value() -> None:
    assert len(set(NAMES)) == len(NAMES)
    shape = structure(CHOSEN)
    assert shape.shape == (len(NAMES),)
    assert shape.dtype == np.float32


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_any_text_has_a_finite_shape(text: str) -> None:
    shape = structure(text)
    assert np.isfinite(shape).all()
    assert (shape >= 0).all()


def test_an_empty_text_is_all_zeros() -> None:
    assert not structure("").any()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("choices", 4),
        ("numbers", 1),
        ("negations", 1),
        ("which", 1),
        ("following", 1),
        ("statements", 1),
        ("true_or_false", 1),
        ("question_marks", 1),
        ("ends_in_question", 1),
        ("catch_all_choices", 1),
        ("formula_choices", 1),
        ("choices_with_digits", 2),
    ],
)
def test_a_question_with_choices_is_counted(name: str, count: float) -> None:
    assert feature(CHOSEN, name) == pytest.approx(count, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("It rose 12.5% to $1,200 in 1999", "numbers", 3),
        ("It rose 12.5% to $1,200 in 1999", "longest_number", 5),
        ("It rose 12.5% to $1,200 in 1999", "decimals", 1),
        ("It rose 12.5% to $1,200 in 1999", "percents", 1),
        ("It rose 12.5% to $1,200 in 1999", "dollars", 1),
        ("It rose 12.5% to $1,200 in 1999", "dates", 1),
        ("Take 3/4 of it", "fractions", 1),
        ("f(x) = [1]", "braces", 2),
        ("Grüße", "non_ascii", 2),
        ("Name it:", "ends_in_colon", 1),
        ("Name it.  ", "ends_in_stop", 1),
        ("Name it", "ends_in_letter", 1),
        ("the cat and the dog", "distinct_words", 0.8),
        ("extraordinarily", "very_long_words", 1),
    ],
)
def test_a_plain_question_is_counted(text: str, name: str, count: float) -> None:
    assert feature(text, name) == pytest.approx(count, rel=1e-5)


def test_one_lettered_line_is_no_choice() -> None:
    assert feature("Name it:\nA. Einstein", "choices") == 0


def test_blanks_round_the_text_and_capitals_throughout_do_not_count() -> None:
    assert (structure(f" \n{CHOSEN}\n ") == structure(CHOSEN)).all()
    assert (structure(CHOSEN.upper()) == structure(CHOSEN.upper().lower())).all()


def test_what_stands_after_the_first_characters_counts_by_its_length_alone() -> None:
    start = "word," * (MOST_CHARS // 5)
    one, other = structure(start + "why?" * 100), structure(start + "1=2?" * 100)
    assert (one == other).all()
    chars = NAMES.index("chars")
    assert np.flatnonzero(one != structure(start)).tolist() == [chars]


@given(PIECES)
def test_tables_of_bytes_count_what_patterns_count_in_characters(text: str) -> None:
    seen = text.strip()[:MOST_CHARS].lower()
    stem = re.split(r"\n[a-j][.)] ?", seen)[0]
    words = re.findall(r"[a-z']+", stem)
    numbers = re.findall(r"\d+(?:[.,]\d+)*", stem)
    expected = {
        "stem_words": len(words),
        "single_letters": sum(len(word) == 1 for word in words),
        "numbers": len(numbers),
        "longest_number": max(map(len, numbers), default=0),
        "fractions": len(re.findall(r"\d/\d", stem)),
        "dates": len(re.findall(r"\b(?:1\d|20)\d\d\b", seen)),
        "quotes": stem.count('"') + stem.count("“"),
        "question_marks": stem.count("?"),
        "operators": sum(map(stem.count, "=<>^+*/")),
        "dollars": stem.count("$"),
        "non_ascii": sum(not character.isascii() for character in seen),
        "superlatives": words.count("most"),
        "articles": sum(map(words.count, ("the", "a", "an", "of"))),
    }
    shape = structure(text)
    for name, count in expected.items():
        assert math.expm1(float(shape[NAMES.index(name)])) == pytest.approx(count, rel=1e-5), name


@given(PIECES.filter(lambda text: not re.search(r"\n[a-jA-J][.)]", text)))
def test_the_lengths_of_words_are_those_of_the_words_one_by_one(text: str) -> None:
    sizes = [len(word) for word in re.findall(r"[a-z']+", text.strip()[:MOST_CHARS].lower())]
    assert feature(text, "words") == pytest.approx(len(sizes), rel=1e-5)
    assert feature(text, "longest_word") == pytest.approx(max(sizes, default=0), rel=1e-5)
    assert feature(text, "word_chars") == pytest.approx(sum(sizes) / max(len(sizes), 1), rel=1e-5)
    long = sum(size >= LONG_WORD for size in sizes)
    assert feature(text, "long_words") == pytest.approx(long / max(len(sizes), 1), rel=1e-5)
