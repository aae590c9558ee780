from dataclasses import replace

import torch

from headrace.kernels.sparse_attention.select import reference
from headrace.kernels.sparse_attention.select.choice import Choice

CHOICE = Choice(
    page_size=2, block_q=2, block_kv=2, max_rows=2, max_blocks=4, budget=3, sink=1, local=1, scale=1.0, share=None,
    is_minmax=False, is_decode=False,
)  # fmt: skip


def test_a_row_keeps_the_best_of_what_is_not_always_in() -> None:
    assert reference.kept([0.0, 5.0, 7.0, 7.0, -9.0], 8, CHOICE) == [0, 2, 4]
    assert reference.kept([0.0, float("nan"), -7.0, -8.0, -9.0], 8, replace(CHOICE, budget=4)) == [0, 2, 3, 4]


def test_a_share_ends_the_choice_before_the_budget() -> None:
    assert reference.kept([0.0] * 10, 18, replace(CHOICE, budget=9, share=0.35)) == [0, 1, 2, 9]


def test_a_bound_takes_the_better_extreme_of_each_dimension() -> None:
    least, most = torch.tensor([-1.0, -2.0]), torch.tensor([3.0, 1.0])
    assert reference.bound(torch.tensor([[[2.0, -2.0]]]), least, most).tolist() == [6.0 + 4.0]
    assert reference.bound(torch.tensor([[[2.0, -2.0]], [[0.0, 0.0]]]), least, most).tolist() == [5.0]
