import dataclasses

import pytest

from headrace.kernels.variant import Variant


def test_a_variant_is_plain_data_that_nobody_changes() -> None:
    variant = Variant("op", object(), "decode", "one row", {"a": "*bf16"}, {"M": 16}, frozenset({"a"}))
    assert (variant.num_warps, variant.num_stages, variant.weights) == (4, 3, frozenset())
    with pytest.raises(dataclasses.FrozenInstanceError):
        variant.op = "other"  # type: ignore[misc]  # that it fails is the point
