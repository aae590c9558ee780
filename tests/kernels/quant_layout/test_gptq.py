import numpy as np
import pytest
import torch

from headrace.kernels.quant_layout import from_gptq, restore

pytestmark = pytest.mark.engine_env


def _words(rows: np.ndarray, bits: int) -> torch.Tensor:
    """Pack [R * per, C] along the first axis into int32 [R, C], one shift at a time, as the checkpoints' writers do."""
    per = 32 // bits
    packed = np.zeros((rows.shape[0] // per, rows.shape[1]), dtype=np.uint32)
    for row in range(rows.shape[0]):
        packed[row // per] |= rows[row].astype(np.uint32) << np.uint32(bits * (row % per))
    return torch.from_numpy(packed.view(np.int32))


def _checkpoint(bits: int, *, less_one: bool, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Return (qweight, qzeros, scales, dense [N, K]): the dense weight written out from the format's own definition."""
    k, n, groups = 96, 24, 3
    chance = np.random.default_rng(seed)
    codes = chance.integers(0, 1 << bits, (k, n))
    zeros = chance.integers(1, 1 << bits, (groups, n))
    scales = chance.normal(size=(groups, n)).astype(np.float32)
    dense = np.empty((n, k))
    for row in range(k):
        group = row // (k // groups)
        dense[:, row] = (codes[row] - zeros[group]) * scales[group]
    qzeros = _words((zeros - 1 if less_one else zeros).T, bits).T.contiguous()
    return _words(codes, bits), qzeros, torch.from_numpy(scales), torch.from_numpy(dense)


@pytest.mark.parametrize("less_one", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_a_checkpoint_stands_for_the_same_weight_as_by_its_own_definition(bits: int, *, less_one: bool) -> None:
    qweight, qzeros, scales, dense = _checkpoint(bits, less_one=less_one)
    order = torch.arange(96, dtype=torch.int32) // 32
    w, scale, zp = from_gptq(qweight, qzeros, scales, order, bits=bits, zeros_less_one=less_one)
    assert w.shape == (24, 96 * bits // 8)
    torch.testing.assert_close(restore(w, scale, zp, k=96, dtype=torch.float64), dense)


def test_a_stack_of_experts_is_a_stack_of_the_results() -> None:
    one, other = (_checkpoint(4, less_one=True, seed=seed) for seed in (1, 2))
    stacked = from_gptq(*(torch.stack(pair) for pair in zip(one[:3], other[:3], strict=True)))
    for place, single in enumerate((one, other)):
        for have, wanted in zip(stacked, from_gptq(*single[:3]), strict=True):
            assert torch.equal(have[place], wanted)


def test_without_zero_points_the_middle_is_zero() -> None:
    qweight, _, scales, _ = _checkpoint(4, less_one=True)
    w, scale, zp = from_gptq(qweight, None, scales)
    assert bool((zp == 8).all())
    same = restore(w, scale, None, k=96, dtype=torch.float32)
    assert torch.equal(restore(w, scale, zp, k=96, dtype=torch.float32), same)


def test_a_stored_fifteen_is_the_zero_point_sixteen() -> None:
    stored = torch.full((1, 1), -1, dtype=torch.int32)
    _, _, zp = from_gptq(torch.zeros((1, 8), dtype=torch.int32), stored, torch.ones(1, 8))
    assert zp.tolist() == [[16]] * 8


def test_activation_order_and_what_does_not_fit_are_refused() -> None:
    qweight, qzeros, scales, _ = _checkpoint(4, less_one=True)
    shuffled = torch.arange(96).flip(0) // 32
    with pytest.raises(ValueError, match="activation order"):
        from_gptq(qweight, qzeros, scales, shuffled)
    with pytest.raises(ValueError, match="95 entries"):
        from_gptq(qweight, qzeros, scales, shuffled[1:])
    with pytest.raises(ValueError, match="bits=3"):
        from_gptq(qweight, qzeros, scales, bits=3)
    with pytest.raises(ValueError, match=r"scales have shape \(3, 23\)"):
        from_gptq(qweight, qzeros, scales[:, 1:])
    with pytest.raises(ValueError, match=r"qzeros have shape \(2, 3\)"):
        from_gptq(qweight, qzeros[1:], scales)
    with pytest.raises(TypeError, match="qweight has dtype"):
        from_gptq(qweight.long(), qzeros, scales)
    with pytest.raises(ValueError, match="256"):
        from_gptq(qweight, torch.full((3, 6), -1, dtype=torch.int32), scales, bits=8)
