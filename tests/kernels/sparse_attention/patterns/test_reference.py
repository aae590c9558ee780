from headrace.kernels.sparse_attention.patterns import reference


def test_rows_are_cut_from_where_the_prefix_ends() -> None:
    assert list(reference.rows([5, 1], [9, 1], 5, 2)) == [(4, 5), (6, 7), (8, 8), (0, 0), None, None]


def test_a_window_reaches_back_from_every_query_of_a_row() -> None:
    assert reference.near(7, 8, window_blocks=2, block_kv=4) == {0, 1, 2}
    assert reference.near(8, 11, window_blocks=1, block_kv=4) == {2}


def test_what_lies_ahead_is_never_kept() -> None:
    chosen = reference.kept(iter([(2, 3), None]), 2, lambda _head, _first, _last: {0, 1, 2, 3}, 2)
    assert chosen == [[[0, 1], []], [[0, 1], []]]


def test_scrambling_tells_all_numbers_apart() -> None:
    assert len({reference.mix(value) for value in range(5000)}) == 5000


def test_a_draw_takes_from_the_candidates_alone() -> None:
    drawn = reference.random_blocks({2, 5, 9}, head=0, row=0, seed=0, number=2)
    assert len(drawn) == 2
    assert drawn <= {2, 5, 9}
