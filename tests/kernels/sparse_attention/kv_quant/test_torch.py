import pytest
import torch

from headrace.kernels.sparse_attention.kv_quant._torch import write

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("slots", [[3, -1, 0], [-1, -1, 2], [5, 4, -9]])
def test_rows_stand_at_their_slots_and_others_stay(slots: list[int]) -> None:
    cache, scales = torch.full((2, 3, 1, 2), 9, dtype=torch.int8), torch.full((2, 3, 1), -1.0)
    write(torch.tensor([[[127.0, -1.0]], [[254.0, 2.0]], [[0.0, 0.0]]]), cache, scales, torch.tensor(slots))
    rows = {0: ([127, -1], 1.0), 1: ([127, 1], 2.0), 2: ([0, 0], pytest.approx(1e-10))}
    for slot in range(6):
        row, scale = rows[slots.index(slot)] if slot in slots else ([9, 9], -1.0)
        assert cache[slot // 3, slot % 3, 0].tolist() == row
        assert float(scales[slot // 3, slot % 3, 0]) == scale
