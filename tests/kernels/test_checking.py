import pytest
import torch

from headrace.kernels import checking


def test_a_shape_is_named_beside_the_wanted_one() -> None:
    checking.check_shape("q", torch.zeros(3, 4), "T", 4)
    with pytest.raises(ValueError, match=r"q has shape \(3, 4\); wanted \[T, 8\]"):
        checking.check_shape("q", torch.zeros(3, 4), "T", 8)
    with pytest.raises(ValueError, match=r"q has shape \(3,\); wanted \[T, 8\]"):
        checking.check_shape("q", torch.zeros(3), "T", 8)


def test_a_type_is_named_beside_the_wanted_ones() -> None:
    with pytest.raises(TypeError, match=r"q has dtype torch.int64; wanted torch.float16 or torch.bfloat16"):
        checking.check_dtype("q", torch.zeros(1, dtype=torch.int64), torch.float16, torch.bfloat16)


def test_a_stray_device_is_named() -> None:
    checking.check_devices(q=torch.zeros(1), k=None, v=torch.zeros(2))
    with pytest.raises(ValueError, match="v is on meta and q on cpu"):
        checking.check_devices(q=torch.zeros(1), v=torch.zeros(1, device="meta"))


def test_a_strided_last_axis_is_refused_with_the_cure() -> None:
    checking.check_last_contiguous(q=torch.zeros(2, 3), k=None, v=torch.zeros(3, 1).t())
    with pytest.raises(ValueError, match=r"q has strides \(1, 2\); wanted 1 on the last axis: call .contiguous"):
        checking.check_last_contiguous(q=torch.zeros(3, 2).t())


def test_values_out_of_range_are_named_with_the_range() -> None:
    checking.check_range("ids", torch.tensor([0, 7]), 0, 7)
    checking.check_range("ids", torch.zeros(0, dtype=torch.int32), 0, 7)
    with pytest.raises(ValueError, match=r"ids has values -2..8; wanted -1..7"):
        checking.check_range("ids", torch.tensor([-2, 8]), -1, 7)


def test_values_are_not_looked_at_where_that_would_wait() -> None:
    checking.check_range("ids", torch.zeros(4, device="meta"), 1, 2)


def test_an_unknown_word_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ValueError, match="scoring='tanh'; wanted one of softmax, sigmoid"):
        checking.check_choice("scoring", "tanh", ("softmax", "sigmoid"))
