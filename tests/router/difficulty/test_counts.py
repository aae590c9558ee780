import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.router.difficulty.counts import COUNT_NAMES, counts


def named(text: str) -> dict[str, float]:
    return dict(zip(COUNT_NAMES, counts(text, len(text)).tolist(), strict=True))


def test_the_bias_is_always_one_and_the_rest_is_small() -> None:
    for text in ("", "Hi", "x" * 2_000, "9" * 2_000, "法" * 2_000):
        values = counts(text, len(text))
        assert values[0] == 1.0
        assert np.isfinite(values).all()
        assert (np.abs(values) < 3).all()


def test_numbers_are_counted_as_runs_of_digits() -> None:
    assert named("12 and 345 and 6")["numbers"] == named("1 and 2 and 3")["numbers"]
    assert named("1 and 2")["numbers"] < named("1 and 2 and 3")["numbers"]


def test_code_choices_and_other_scripts_show() -> None:
    assert named("def f(): return 1")["code_lines"] > named("deaf to a return")["code_lines"]
    assert named("Pick one\nA. red\nB. blue")["choices"] == 0.5
    assert named("法国")["non_ascii"] == 1.0
    assert named("Why? How?")["questions"] > named("Why.")["questions"]


def test_length_is_that_of_the_whole_text() -> None:
    assert counts("cut", 20_000)[COUNT_NAMES.index("length")] > counts("cut", 3)[COUNT_NAMES.index("length")]


@given(
    st.lists(st.sampled_from(["=>", "();", "```", "def ", "\nA. ", "\nB) ", "12", " ", "é", "$", "X"]) | st.text()).map(
        "".join
    )
)
def test_counts_are_those_of_searching_the_text_mark_by_mark(text: str) -> None:
    marks = ("```", "def ", "return ", "import ", "class ", "function", "();", "#include", "SELECT ", "=>")
    choices = {f"\n{letter}{mark} " for letter in "ABCD" for mark in ".)"}
    found = named(text)
    assert found["code_lines"] == pytest.approx(sum(mark in text for mark in marks) / 4)
    assert found["choices"] == pytest.approx(sum(choice in text for choice in choices) / 4)
    assert found["numbers"] == pytest.approx(math.log1p(len(re.findall("[0-9]+", text))) / 3)
    assert found["operators"] == pytest.approx(math.log1p(sum(map(text.count, "+-*/^=<>%"))) / 4)
    assert found["spaces"] == pytest.approx(math.log1p(sum(map(text.count, " \t\n"))) / 4)
