import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.retrieval.ingest.clean import clean, without_gaps


@pytest.mark.parametrize(
    "hidden",
    [
        "\u200b",
        "\u200e",
        "\u202e",
        "\u2066",
        "\u2060",
        "\ufeff",
        "\u00ad",
        "\U000e0041",
        "\ufe00",
        "\U000e0100",
        "\x07",
    ],
)
def test_what_nobody_sees_goes(hidden: str) -> None:
    assert clean(f"ig{hidden}nore {hidden}{hidden}me") == "ignore me"


def test_joiners_stay_where_a_script_needs_them() -> None:
    assert clean("می\u200cخ") == "می\u200cخ"
    assert clean("ig\u200cno\u200dre") == "ignore"
    assert clean("می\u200c\u200d\u200cخ") == "میخ"


def test_every_line_end_is_one_newline() -> None:
    assert clean("a\r\nb\rc\u2028d\x0ce") == "a\nb\nc\nd\ne"


def test_lone_surrogates_are_replaced() -> None:
    assert clean("a\ud800b") == "a\ufffdb"


@settings(deadline=None)
@given(st.text())
def test_cleaning_twice_changes_nothing_and_the_result_can_be_written(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "\u200b" not in once
    once.encode()


def test_many_blank_lines_become_one() -> None:
    assert without_gaps("\n\na\n \n\t\n\nb\n") == "a\n\nb"
