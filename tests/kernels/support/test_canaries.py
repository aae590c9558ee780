import math

import pytest
import torch

from tests.support.kernels.canaries import PAGE_BYTES, CanaryError, allocations_guarded, guard, guarded


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
def test_a_floating_buffer_starts_as_nan_and_is_whole(dtype: torch.dtype) -> None:
    made = guarded((7, 33), dtype)
    assert bool(made.tensor.isnan().all())
    assert made.tensor.is_contiguous()
    made.check()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.int64])
def test_an_integer_buffer_starts_as_poison(dtype: torch.dtype) -> None:
    assert int(guarded((3,), dtype).tensor[0]) == torch.iinfo(dtype).min + 77


def test_writing_inside_is_no_fault() -> None:
    made = guarded((4, 5), torch.float32)
    made.tensor.copy_(torch.randn(4, 5))
    made.check()


@pytest.mark.parametrize(("element", "shown"), [(-1, "element -1 "), (20, "element 20 "), (-PAGE_BYTES // 4, "-1024 ")])
def test_one_element_outside_is_found_with_its_place(element: int, shown: str) -> None:
    made = guarded((4, 5), torch.float32)
    made.raw.view(torch.float32)[made.tensor.storage_offset() + element] = 0.0
    with pytest.raises(CanaryError, match=shown):
        made.check()


def test_a_gap_between_rows_is_a_canary_too() -> None:
    made = guarded((3, 4), torch.float16, strides=(10, 1))
    made.check()
    made.raw.view(torch.float16)[made.tensor.storage_offset() + 5] = 1.0
    with pytest.raises(CanaryError, match="element 5 "):
        made.check()


def test_a_stray_read_of_a_floating_buffer_gives_nan() -> None:
    made = guard(torch.ones(4))
    assert math.isnan(float(made.raw.view(torch.float32)[made.tensor.storage_offset() + 4]))
    assert bool((made.tensor == 1).all())


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (5, 0)])
def test_scalars_and_empty_buffers_are_guarded(shape: tuple[int, ...]) -> None:
    made = guarded(shape, torch.float32)
    assert made.tensor.shape == shape
    made.check()


def test_what_an_op_allocates_is_guarded_and_poisoned() -> None:
    with allocations_guarded() as made:
        assert bool(torch.empty(3, 4).isnan().all())
        assert bool((torch.zeros(3) == 0).all())
        assert int(torch.full((2,), -1, dtype=torch.int32)[0]) == -1
        assert bool(torch.ones(2).new_empty(5).isnan().all())
    assert len(made) == 4


def test_a_write_past_what_an_op_allocated_is_found() -> None:
    def stray() -> None:
        with allocations_guarded() as made:
            torch.empty(3)
            made[0].raw[-1] ^= 1

    with pytest.raises(CanaryError):
        stray()
