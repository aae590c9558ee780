import pytest

from headrace.kernels.sparse_attention.select.choice import max_blocks
from tests.support.kernels.block_choice import batch


@pytest.mark.parametrize(
    ("budget", "sink", "local", "block_q", "listed"),
    [(3, 1, 1, 4, 3), (1, 1, 2, 4, 4), (1, 0, 1, 1, 1), (99, 0, 1, 4, 7)],
)
def test_a_list_has_room_for_the_budget_or_for_what_is_always_in(
    budget: int, sink: int, local: int, block_q: int, listed: int
) -> None:
    assert batch(budget=budget, sink=sink, local=local, block_q=block_q)[1].max_listed == listed


def test_blocks_are_bounded_by_the_longest_length_and_by_the_table() -> None:
    assert max_blocks(100, block_kv=8, page_size=4, table_pages=99) == 13
    assert max_blocks(100, block_kv=8, page_size=4, table_pages=9) == 5
    assert max_blocks(100, block_kv=8, page_size=4, table_pages=0) == 0
