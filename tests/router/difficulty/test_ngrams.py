import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.router.difficulty.ngrams import (
    HEAD_CHARS,
    KNOWN_BITS,
    TABLE_SIZE,
    TAIL_CHARS,
    cut,
    known_bits,
    ngrams,
)


def test_equal_substrings_hash_alike_wherever_they_stand() -> None:
    first, second = ngrams("alpha beta"), ngrams("beta gamma alpha")
    assert first.word_hashes[0] == second.word_hashes[2]
    assert first.word_hashes[1] == second.word_hashes[0]
    assert len({*first.word_hashes.tolist(), *second.word_hashes.tolist()}) == 3


def test_case_digits_and_spacing_are_folded() -> None:
    one, other = ngrams("What is  12 + 7?"), ngrams("what is 98 + 3?")
    assert np.array_equal(one.slots, other.slots)


def test_word_order_shows_in_the_word_pairs() -> None:
    one, other = ngrams("dog bites man"), ngrams("man bites dog")
    assert set(one.words.tolist()) != set(other.words.tolist())


def test_words_and_characters_index_two_tables_laid_end_to_end() -> None:
    found = ngrams("How many apples are left?")
    words = found.word_hashes.size
    assert words == 5
    assert found.words.size == 2 * words - 1
    assert (found.slots[: 2 * words - 1] < TABLE_SIZE).all()
    assert (found.slots[2 * words - 1 :] >= TABLE_SIZE).all()
    assert found.chars.max() < TABLE_SIZE


def test_text_without_words_has_no_word_slots() -> None:
    assert ngrams("").slots.size == 0
    assert ngrams("?!?").words.size == 0
    assert ngrams("?!?").chars.size > 0


def test_every_kind_of_text_is_hashed() -> None:
    for text in ("法国的首都", "\x00\x01", "a" * 5_000, "\ud800 lone surrogate", "é" * 2_000):
        assert ngrams(cut(text)).slots.dtype == np.uint32


def test_long_text_keeps_its_head_and_its_tail() -> None:
    text = "h" * HEAD_CHARS + "m" * 10_000 + "t" * TAIL_CHARS
    assert cut(text) == "h" * HEAD_CHARS + " " + "t" * TAIL_CHARS
    assert cut("short") == "short"


def test_known_bits_stay_inside_their_table() -> None:
    bits = known_bits(ngrams("one two three four").word_hashes)
    assert bits.min() >= 0
    assert bits.max() < 1 << KNOWN_BITS


@given(
    st.lists(st.sampled_from(["A", "é", "É", "İ", "ΑΣ", "\u00a0", "\u2003", "\x1c", "\n ", "  ", "0"]) | st.text()).map(
        "".join
    )
)
def test_letters_and_blanks_of_every_script_are_folded(text: str) -> None:
    assert np.array_equal(ngrams(text).slots, ngrams(" ".join(text.lower().split())).slots)
