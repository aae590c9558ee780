from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.chat import Message
from headrace.router.cascade.fuse import (
    Ballot,
    Ruling,
    best_confidence,
    judge_call,
    judged,
    needs_judge,
    vote,
    without_judge,
)
from tests.support.routing import call


def ballot(answer: str, confidence: float | None = None, cost: int = 1, *, sound: bool = True) -> Ballot:
    return Ballot(f"It is {answer}", answer, confidence, cost, sound)


BALLOTS = st.lists(
    st.builds(
        Ballot,
        st.just("text"),
        st.sampled_from(["1", "2", "3", ""]),
        st.none() | st.floats(0, 1),
        st.integers(0, 100),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def test_the_majority_wins_over_confidence() -> None:
    found = vote([ballot("7", 0.99), ballot("8", 0.2), ballot("8", 0.3)])
    assert found == Ruling(2, "2 of 3 agree")


@pytest.mark.parametrize(
    ("ballots", "chosen"),
    [
        ([ballot("7", 0.4), ballot("8", 0.6)], 1),
        ([ballot("7", None, 1), ballot("8", 0.1, 9)], 1),
        ([ballot("7", None, 9), ballot("8", None, 1)], 1),
        ([ballot("7", 0.5, 5), ballot("8", 0.5, 5)], 0),
    ],
)
def test_a_tie_goes_to_the_surest_then_to_the_cheapest_then_to_the_most_promising(
    ballots: list[Ballot], chosen: int
) -> None:
    assert vote(ballots) == Ruling(chosen, "1 of 2 agree, a tie")


def test_an_answer_in_a_broken_form_has_no_vote_unless_all_are() -> None:
    assert vote([ballot("", sound=False), ballot("", sound=False), ballot("7")]).chosen == 2
    assert vote([ballot("7", sound=False), ballot("8", 0.9, sound=False)]).chosen == 1


def test_the_most_confident_answer_wins_whatever_the_others_say() -> None:
    found = best_confidence([ballot("8", 0.6), ballot("8", 0.7), ballot("7", 0.8)])
    assert found == Ruling(2, "most confident of 3: 0.800")
    assert best_confidence([ballot("7", None), ballot("8", 0.1)]).chosen == 1


def test_where_no_answer_can_be_judged_the_vote_decides() -> None:
    found = best_confidence([ballot("7"), ballot("8"), ballot("8", None, 0)])
    assert found == Ruling(2, "no answer can be judged; 2 of 3 agree")


def test_a_judge_is_only_needed_where_sound_answers_differ() -> None:
    assert needs_judge([ballot("7"), ballot("8")])
    assert not needs_judge([ballot("7"), ballot("7")])
    assert not needs_judge([ballot("7"), ballot("8", sound=False)])


@pytest.mark.parametrize(("word", "chosen"), [("2", 1), ("Answer 3.", 2), ("Not 1, I say 2", 1), ("**1**", 0)])
def test_the_judges_last_number_counts(word: str, chosen: int) -> None:
    found = judged([ballot("7"), ballot("8"), ballot("9")], word)
    assert found == Ruling(chosen, f"the judge picked {chosen + 1} of 3")


@pytest.mark.parametrize("word", ["", "none", "0", "4", "-", "9" * 5_000, "²"])
def test_a_judge_that_names_no_answer_leaves_it_to_the_vote(word: str) -> None:
    found = judged([ballot("7"), ballot("8"), ballot("8")], word)
    assert found == Ruling(1, "the judge named no answer; 2 of 3 agree")
    assert without_judge([ballot("7")], "down").why == "down; 1 of 1 agree"


def test_the_judge_reads_the_last_question_and_every_answer_in_bounded_length() -> None:
    asked = call(messages=(Message("user", "earlier"), Message("assistant", "x"), Message("user", "Q" * 50_000)))
    ballots = [Ballot("A" * 50_000 + "end", "end", None, 1), ballot("7")]
    made = judge_call(asked, ballots, context_tokens=2_048)
    prompt = made.messages[0].text
    assert made.wire["messages"] == [{"role": "user", "content": prompt}]
    assert "earlier" not in prompt
    assert "end\n\nAnswer 2:\nIt is 7" in prompt
    assert len(prompt) < 2 * 2_048
    assert (made.stream, made.n, made.tools, made.max_tokens) == (False, 1, (), made.wire["max_tokens"])


def test_a_question_without_a_user_is_no_crash() -> None:
    assert "Question:\n\n" in judge_call(call(messages=()), [ballot("7")], context_tokens=4_096).messages[0].text


@settings(deadline=None)
@given(BALLOTS, st.text(max_size=40))
def test_every_way_chooses_one_that_is_there_and_sound_if_any_is(ballots: Sequence[Ballot], word: str) -> None:
    for ruling in (vote(ballots), best_confidence(ballots)):
        assert ballots[ruling.chosen].is_sound or not any(each.is_sound for each in ballots)
    assert 0 <= judged(ballots, word).chosen < len(ballots)
