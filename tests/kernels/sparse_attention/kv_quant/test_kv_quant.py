import pytest
import torch

from headrace.kernels import dispatch
from headrace.kernels.sparse_attention.kv_quant import unsupported_reason, write_int8_kv
from tests.kernels.sparse_attention.kv_quant.cases import UNTOUCHED, caches, some_slots, tokens, wanted

pytestmark = pytest.mark.engine_env


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")


@pytest.mark.parametrize("count", [0, 1, 7, 33])
def test_it_writes_what_the_reference_writes(count: int) -> None:
    k, v = tokens(count)
    made, slots = caches(), some_slots(count, of=80)
    write_int8_kv(k, v, *made, slots)
    for got, want in zip(made, wanted(k, v, slots, made), strict=True):
        assert torch.equal(got.nan_to_num(-1.0), want.nan_to_num(-1.0))


def test_a_finite_row_is_off_by_half_a_scale_at_most() -> None:
    k, v = torch.randn(2, 40, 2, 64, generator=torch.Generator().manual_seed(0))
    made = caches()
    write_int8_kv(k, v, *made, torch.arange(40))
    restored = (made[0] * made[2][..., None]).flatten(0, 1)[:40]
    assert bool(((restored - k).abs() <= made[2].flatten(0, 1)[:40, :, None] * 0.5001).all())


def test_a_row_that_is_not_finite_is_read_as_nan() -> None:
    k, v = tokens(6)
    made = caches()
    write_int8_kv(k, v, *made, torch.arange(6))
    restored = (made[0] * made[2][..., None]).flatten(0, 1)[:6]
    assert torch.equal(restored.isnan().all(2), ~torch.isfinite(k).all(2))
    assert int(restored.isnan().any(2).sum()) == 2


def test_tokens_without_a_slot_are_left_out_and_nothing_else_is_touched() -> None:
    k, v = tokens(4)
    made = caches()
    write_int8_kv(k, v, *made, torch.tensor([-1, 80, 1 << 40, 17]))
    is_written = (made[0] != UNTOUCHED).any(3).nonzero().tolist()
    assert is_written == [[1, 1, 0], [1, 1, 1]]
    none = caches()
    write_int8_kv(k, v, *none, torch.full((4,), -1))
    assert bool((none[0] == UNTOUCHED).all())
    assert bool(none[2].isnan().all())


def test_what_the_kernel_refuses_has_a_word() -> None:
    assert unsupported_reason(torch.empty(1, 1, 256)) is None
    assert unsupported_reason(torch.empty(1, 1, 257)) == "head-dim"


def test_bad_input_is_refused_with_its_value() -> None:
    k, v = tokens(4)
    made, slots = caches(), torch.arange(4)
    with pytest.raises(ValueError, match=r"v has shape \(3, 2, 64\); wanted \[4, 2, 64\]"):
        write_int8_kv(k, v[1:], *made, slots)
    with pytest.raises(TypeError, match=r"k_cache has dtype torch.float32; wanted torch.int8"):
        write_int8_kv(k, v, made[0].float(), *made[1:], slots)
    with pytest.raises(TypeError, match=r"slots has dtype torch.float32"):
        write_int8_kv(k, v, *made, slots.float())
    with pytest.raises(ValueError, match=r"v_scale has shape \(4, 16, 2\); wanted \[5, 16, 2\]"):
        write_int8_kv(k, v, *made[:3], made[3][1:], slots)


def test_it_compiles_whole_and_is_a_lawful_operator() -> None:
    k, v = torch.randn(2, 3, 2, 64, generator=torch.Generator().manual_seed(0))
    made, again, slots = caches(), caches(), torch.arange(3)
    torch.compile(write_int8_kv, fullgraph=True, backend="eager")(k, v, *made, slots)
    write_int8_kv(k, v, *again, slots)
    assert all(torch.equal(one.nan_to_num(-1.0), two.nan_to_num(-1.0)) for one, two in zip(made, again, strict=True))
    torch.library.opcheck(
        torch.ops.headrace.write_int8_kv.default, (k, v, *(one.nan_to_num(0.0) for one in made), slots)
    )
