# ruff: noqa: RUF001  (quotes and dashes as printers set them)

import pytest

from headrace.gateway.grounding.citations import Citation, check, locate
from headrace.gateway.grounding.context import Shown
from tests.support.documents import COFFEE, LEAVE, TRAVEL, hit

SHOWN = (Shown(1, hit(LEAVE, 1, start=100, page=3), LEAVE), Shown(2, hit(TRAVEL, 2), TRAVEL))
FIRST = "Employees of Brightwater get 27 days of paid leave a year."


def kept(answer: str, question: str = "") -> list[tuple[int, str]]:
    return [(one.index, one.quote) for one in check(answer, SHOWN, question).kept]


def dropped(answer: str) -> int:
    return check(answer, SHOWN).dropped


def test_a_number_cites_the_sentence_that_says_it_with_its_place_in_the_document() -> None:
    found = check("You get 27 days of paid leave [1].", SHOWN)
    assert found.kept == (Citation("file-1", "handbook.md", 100, 100 + len(FIRST), FIRST, 1, 3),)
    assert found.dropped == 0
    start, end = found.kept[0].start - 100, found.kept[0].end - 100
    assert LEAVE[start:end] == FIRST


@pytest.mark.parametrize(
    "answer",
    [
        "27 days of paid leave[1]",
        "27 days of paid leave. [1]",
        "27 days of paid leave.\n[1]",
        "27 days of paid leave 【1】.",
        "27 days of paid leave [1][1].",
    ],
)
def test_a_number_is_read_wherever_models_put_it(answer: str) -> None:
    assert kept(answer) == [(1, FIRST)]


def test_several_numbers_cite_several_passages() -> None:
    answer = "Brightwater pays 27 days of leave and books its trips by the travel desk [1, 2]."
    assert [index for index, _ in kept(answer)] == [1, 2]
    assert [index for index, _ in kept(answer.replace("[1, 2]", "[1-2]"))] == [1, 2]


def test_a_number_that_no_passage_has_is_dropped() -> None:
    assert (kept("It is 27 days of leave [9]."), dropped("It is 27 days of leave [9].")) == ([], 1)
    assert dropped("It is so [0].") == 1


def test_a_number_under_a_sentence_its_passage_does_not_speak_of_is_dropped() -> None:
    answer = "Penguins live near the southern pole of the planet [1]."
    assert (kept(answer), dropped(answer)) == ([], 1)


def test_yes_is_cited_by_what_the_question_asks() -> None:
    assert kept("Yes [1].", "Do employees get paid leave?") == [(1, FIRST)]


def test_a_quote_must_stand_in_its_passage() -> None:
    true = 'It says "Leave that is  NOT taken by the end of March is lost" [1].'
    assert kept(true) == [(1, "Leave that is not taken by the end of March is lost")]
    false = 'It says "Leave that is not taken by the end of June is lost" [1].'
    assert (kept(false), dropped(false)) == ([], 1)


def test_a_quote_under_the_wrong_number_is_dropped() -> None:
    answer = '"Trips of Brightwater are booked by the travel desk." [1]'
    assert (kept(answer), dropped(answer)) == ([], 1)


def test_a_quote_without_a_number_is_found_where_it_stands() -> None:
    assert kept("The handbook says “Trains are preferred under 600 kilometres”.") == [
        (2, "Trains are preferred under 600 kilometres")
    ]
    invented = "The handbook says “Planes are preferred under 600 kilometres”."
    assert (kept(invented), dropped(invented)) == ([], 1)


def test_short_words_in_quotes_are_no_quote_but_a_short_sentence_is() -> None:
    assert check('The so-called "paid leave" is 27 days long [1].', SHOWN).dropped == 0
    assert dropped('It says "He left."') == 1


def test_an_answer_that_cites_nothing_is_cited_where_a_passage_says_the_same() -> None:
    assert kept("Employees of Brightwater get 27 days of paid leave.") == [(1, FIRST)]


@pytest.mark.parametrize(
    "answer",
    [
        "Employees of Brightwater get 30 days of paid leave.",
        "27 days.",
        "Employees may carry over leave into the next summer when their team lead agrees to it.",
        "The documents do not tell.",
        "",
    ],
)
def test_nothing_is_cited_for_what_no_passage_says(answer: str) -> None:
    assert check(answer, SHOWN) == check("", SHOWN)


def test_code_is_not_read_for_citations() -> None:
    assert check("```\nx = list[1]\n```\nand `list[7]`", SHOWN) == check("", SHOWN)


def test_each_citation_stands_once_in_the_order_of_the_answer() -> None:
    answer = "Trips are booked by the travel desk [2]. 27 days of paid leave [1]. Again 27 days of paid leave [1]."
    assert [index for index, _ in kept(answer)] == [2, 1]


def test_many_marks_are_bounded() -> None:
    assert len(check("27 days of paid leave [1]. " * 50_000, SHOWN).kept) == 1


def test_a_quote_of_what_cleaning_changed_cites_the_whole_passage() -> None:
    text = "Water boils at 100 degrees [3] in an open vessel."
    shown = (Shown(1, hit(text), "Water boils at 100 degrees (3) in an open vessel."),)
    found = check('"Water boils at 100 degrees (3) in an open vessel" [1]', shown)
    assert [one.quote for one in found.kept] == [text]


@pytest.mark.parametrize(
    ("quote", "text", "expected"),
    [
        ("paid   LEAVE", "the paid\nleave of", (4, 14)),
        ("it’s – fine", "well, it's - fine.", (6, 17)),
        ("ignore", "ig\u200bnore this", (0, 7)),
        ("cat", "concatenate", None),
        ("cat", "concatenate the cat", (16, 19)),
        ("…", "anything", None),
        ("Straße", "STRASSE 5", (0, 7)),
    ],
)
def test_quotes_are_found_whatever_their_spaces_case_and_printing(
    quote: str, text: str, expected: tuple[int, int] | None
) -> None:
    assert locate(quote, text) == expected


def test_an_overlap_with_two_passages_cites_the_closer_one() -> None:
    shown = (Shown(1, hit(COFFEE), COFFEE), Shown(2, hit(f"{COFFEE} Truly.", 2), COFFEE))
    assert [one.index for one in check(COFFEE, shown).kept] == [1]
