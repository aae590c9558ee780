import pytest
import torch

from headrace.kernels.expert_routing.align.reference import align

pytestmark = pytest.mark.engine_env


def test_rows_stand_by_expert_in_order_and_filled_to_blocks() -> None:
    sorted_ids, expert_ids, num_post = align(torch.tensor([[2, 0], [2, -1], [2, 0]]), 4, 2)
    assert sorted_ids[:6].tolist() == [1, 5, 0, 2, 4, 6]
    assert expert_ids.tolist() == [0, 2, 2, -1, -1]
    assert sorted_ids[6:].tolist() == [6] * 4
    assert num_post.tolist() == [6]


def test_no_ids_make_one_block_in_no_use() -> None:
    sorted_ids, expert_ids, num_post = align(torch.zeros(0, 2, dtype=torch.int32), 4, 3)
    assert (sorted_ids.tolist(), expert_ids.tolist(), num_post.tolist()) == ([0, 0, 0], [-1], [0])


def test_ids_that_are_all_away_use_no_block() -> None:
    sorted_ids, expert_ids, num_post = align(torch.full((2, 2), -1), 4, 2)
    assert (set(sorted_ids.tolist()), set(expert_ids.tolist()), num_post.tolist()) == ({4}, {-1}, [0])
