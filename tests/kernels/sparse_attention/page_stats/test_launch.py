import torch

from headrace.kernels.sparse_attention.page_stats import _launch, reference
from tests.support.kernels.tolerance import close


def test_a_launch_covers_every_head_and_page() -> None:
    k_cache = torch.randn(2, 3, 3, 5)
    kmeta = torch.full((2, 3, 5), torch.nan)
    _launch.update(k_cache, torch.arange(6), kmeta, None, is_minmax=False)
    close(kmeta, reference.update(k_cache, torch.arange(6), kmeta, "mean"), torch.float32, 3)
