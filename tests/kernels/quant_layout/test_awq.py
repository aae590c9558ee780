import numpy as np
import pytest
import torch

from headrace.kernels.quant_layout import from_awq, restore

pytestmark = pytest.mark.engine_env


def _words(columns: np.ndarray) -> torch.Tensor:
    """Pack [R, 8 C] into int32 [R, C], fields as the checkpoints' writers lay them: 0, 2, 4, 6, 1, 3, 5, 7."""
    packed = np.zeros((columns.shape[0], columns.shape[1] // 8), dtype=np.uint32)
    for word in range(packed.shape[1]):
        for field, place in enumerate([0, 2, 4, 6, 1, 3, 5, 7]):
            packed[:, word] |= columns[:, 8 * word + place].astype(np.uint32) << np.uint32(4 * field)
    return torch.from_numpy(packed.view(np.int32))


def _checkpoint(seed: int = 0) -> tuple[torch.Tensor, ...]:
    k, n, groups = 64, 40, 2
    chance = np.random.default_rng(seed)
    codes, zeros = chance.integers(0, 16, (k, n)), chance.integers(0, 16, (groups, n))
    scales = chance.normal(size=(groups, n)).astype(np.float32)
    dense = (codes - zeros.repeat(k // groups, 0)) * scales.repeat(k // groups, 0)
    return _words(codes), _words(zeros), torch.from_numpy(scales), torch.from_numpy(dense.T.copy())


def test_a_checkpoint_stands_for_the_same_weight_as_by_its_own_definition() -> None:
    qweight, qzeros, scales, dense = _checkpoint()
    w, scale, zp = from_awq(qweight, qzeros, scales)
    assert w.shape == (40, 32)
    torch.testing.assert_close(restore(w, scale, zp, k=64, dtype=torch.float64), dense.double())


def test_a_stack_of_experts_is_a_stack_of_the_results() -> None:
    one, other = _checkpoint(1), _checkpoint(2)
    stacked = from_awq(*(torch.stack(pair) for pair in zip(one[:3], other[:3], strict=True)))
    for place, single in enumerate((one, other)):
        for have, wanted in zip(stacked, from_awq(*single[:3]), strict=True):
            assert torch.equal(have[place], wanted)


def test_what_does_not_fit_is_refused_with_both_values() -> None:
    qweight, qzeros, scales, _ = _checkpoint()
    with pytest.raises(ValueError, match=r"scales have shape \(2, 39\)"):
        from_awq(qweight, qzeros, scales[:, 1:])
    with pytest.raises(ValueError, match=r"qzeros have shape \(1, 5\)"):
        from_awq(qweight, qzeros[1:], scales)
    with pytest.raises(TypeError, match="qzeros has dtype"):
        from_awq(qweight, qzeros.float(), scales)
