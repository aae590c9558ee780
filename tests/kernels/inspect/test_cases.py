import pytest
import torch

from headrace.kernels.inspect import cases
from headrace.kernels.inspect.cases import Where
from headrace.kernels.inspect.roofline import Experts, Heads

LAYER = Experts("small", hidden=256, inner=128, experts=8, top_k=2)
HEADS = Heads(query=4, kv=2, dim=64)
WHERE = Where(dtype=torch.float32)


def test_another_seed_gives_other_tensors_of_the_same_sizes() -> None:
    one, same, other = (cases.gate(7, LAYER, Where(seed=seed)).inputs["logits"] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == other.shape


def test_every_case_runs_on_the_path_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KERNELS", "torch")
    for op, build in cases.counted():
        case = build()
        assert case.op == op
        assert case.run() is not None
        assert case.compulsory_bytes > 0
    cases.experts(3, LAYER, "int4", WHERE).run()
    cases.select(100, 60, 0.5, HEADS, WHERE).run()


@pytest.mark.parametrize(("weights", "a_weight"), [("bf16", 4.0), ("int8", 1 + 4 / 128), ("int4", 0.5 + 4 / 128)])
def test_a_product_needs_the_weights_of_the_experts_it_hits_and_no_more(
    weights: cases.Weights, a_weight: float
) -> None:
    case = cases.gate_and_up(1, LAYER, weights, WHERE)
    of_experts = 2 * (2 * 128 * 256) * a_weight
    assert case.compulsory_bytes == of_experts + 256 * 4 + 2 * 128 * 4


def test_decode_needs_the_chosen_keys_and_values_once() -> None:
    case = cases.decode(512, 2, 100, HEADS, WHERE)
    assert case.compulsory_bytes == 2 * (2 * 2 * 100 * 64 * 4) + 2 * (2 * 4 * 64 * 4) + 4 * (2 * 2 * 7 + 4) + 4 * 8


def test_block_lists_ascend_hold_the_first_and_the_last_visible_and_no_future() -> None:
    idx, cnt = cases.lists(300, 200, 0.4, HEADS, WHERE)
    assert idx.shape[:2] == cnt.shape == (2, 5)
    for head in range(2):
        for row in range(5):
            listed = idx[head, row][: cnt[head, row]].tolist()
            visible = -(-min(200 + 64 * (row + 1), 500) // 64)
            assert listed == sorted(set(listed))
            assert {0, visible - 1} <= set(listed) or visible == 1 or cnt[head, row] == 1
            assert max(listed) < visible
            assert bool((idx[head, row][cnt[head, row] :] == -1).all())


def test_all_blocks_kept_means_all_visible_blocks() -> None:
    idx, cnt = cases.lists(128, 64, 1.0, HEADS, WHERE)
    assert cnt.tolist() == [[2, 3], [2, 3]]
    assert idx[0].tolist() == [[0, 1, -1], [0, 1, 2]]


def test_a_token_goes_to_different_experts() -> None:
    ids = cases.routing(50, LAYER, WHERE)
    assert bool((ids[:, 0] != ids[:, 1]).all())
    assert ids.dtype == torch.int32
