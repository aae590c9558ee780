import pytest

torch = pytest.importorskip("torch", reason="torch lives in the engine environment")

from headrace.kernels.int8_rounding.reference import round_rows  # noqa: E402

pytestmark = pytest.mark.engine_env


def test_the_plain_statement_keeps_double_precision() -> None:
    rounded, scale = round_rows(torch.tensor([[127.0, 63.5, -1.0]], dtype=torch.float64))
    assert scale.dtype == torch.float64
    assert rounded.tolist() == [[127, 64, -1]]
