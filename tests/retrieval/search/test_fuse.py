import random

import pytest

from headrace.retrieval.search.fuse import standings

CROWD = [(id_, 0.30 - id_ / 1000) for id_ in range(100, 150)]


def test_a_passage_at_the_top_of_both_lists_is_first() -> None:
    lexical, dense = [(1, 9.0), (2, 8.0), *CROWD], [(2, 0.9), (1, 0.8), (3, 0.7), *CROWD]
    assert {id_ for id_, _ in standings(lexical, dense)[:2]} == {1, 2}


def test_a_clear_winner_of_one_list_beats_the_vague_first_of_the_other() -> None:
    vague = [(7, 2.1), *((id_, 2.0 - (id_ - 200) / 20) for id_ in range(200, 240))]
    clear = [(5, 0.9), *((id_, 0.3 - id_ / 1e4) for id_ in range(200, 240))]
    assert standings(vague, clear)[0][0] == 5
    assert standings(clear, vague)[0][0] == 5


def test_one_empty_list_leaves_the_order_of_the_other() -> None:
    ranking = [(3, 0.9), (1, 0.5), (2, 0.1)]
    assert [id_ for id_, _ in standings([], ranking)] == [3, 1, 2]
    assert [id_ for id_, _ in standings(ranking, [])] == [3, 1, 2]
    assert standings([], []) == []


def test_the_only_passage_with_a_word_gains_by_it() -> None:
    dense = [(id_, 0.5 - id_ / 1000) for id_ in range(50)]
    assert standings([(9, 4.0)], dense)[0][0] == 9


def test_lists_that_tell_nothing_apart_are_in_the_order_of_ids() -> None:
    assert standings([(2, 1.0), (1, 1.0)], [(1, 0.5), (2, 0.5)]) == [(1, 0.0), (2, 0.0)]


def test_standings_fall_and_do_not_depend_on_the_units() -> None:
    drawn = random.Random(3)  # noqa: S311  (data for a test)
    lexical = sorted(((id_, drawn.expovariate(0.2)) for id_ in range(300)), key=lambda hit: -hit[1])
    dense = sorted(((id_, drawn.random()) for id_ in range(400)), key=lambda hit: -hit[1])
    fused = standings(lexical, dense)
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    scaled = standings([(id_, 7 * score) for id_, score in lexical], [(id_, 3 * score - 1) for id_, score in dense])
    assert [score for _, score in scaled] == pytest.approx(scores)
    assert [id_ for id_, _ in scaled[:20]] == [id_ for id_, _ in fused[:20]]


def test_depth_and_weight_are_kept() -> None:
    lexical, dense = [(1, 3.0), (2, 2.0), (3, 1.0)], [(3, 0.9), (2, 0.8), (1, 0.1)]
    assert {id_ for id_, _ in standings(lexical, dense, depth=1)} == {1, 3}
    assert standings(lexical, dense, dense_weight=1.0)[0][0] == 3
    assert standings(lexical, dense, dense_weight=0.0)[0][0] == 1
