import torch

from headrace.kernels.sparse_attention.page_stats import reference


def test_the_reference_takes_each_page_from_its_first_token_to_its_last_slot() -> None:
    k_cache = torch.arange(8.0).view(2, 4, 1, 1)
    kmeta = torch.full((2, 1, 1), -1.0)
    assert reference.update(k_cache, torch.tensor([5, 6]), kmeta, "mean").flatten().tolist() == [-1, 5]
    kmeta = torch.full((2, 2, 1, 1), -1.0)
    assert reference.update(k_cache, torch.tensor([6, -1]), kmeta, "minmax").flatten().tolist() == [-1, -1, 4, 6]
