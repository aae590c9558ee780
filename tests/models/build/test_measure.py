from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the build runs in the engine environment")

from headrace.kernels.int8_rounding import restore, round_rows  # noqa: E402
from headrace.models.build.checkpoint import CheckpointRequest, build_checkpoint  # noqa: E402
from headrace.models.build.measure import RoundedLinear, measure_form  # noqa: E402
from headrace.models.build.recipes import recipe_for  # noqa: E402
from tests.support.tiny_gguf import write_tiny  # noqa: E402

pytestmark = pytest.mark.engine_env


def test_a_rounded_layer_multiplies_the_rounded_numbers() -> None:
    weight, bias = torch.randn(6, 32), torch.randn(6)
    hidden = torch.randn(2, 3, 32)
    rounded = round_rows(weight)
    got = RoundedLinear(*rounded, bias)(hidden)
    seen = restore(*round_rows(hidden.reshape(-1, 32))).reshape(2, 3, 32)
    torch.testing.assert_close(got, torch.nn.functional.linear(seen, restore(*rounded), bias))


def test_measuring_a_form_tells_divergence_agreement_and_sizes(tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf")
    folder = tmp_path / "int8"
    folder.mkdir()
    request = CheckpointRequest(tmp_path / "m.gguf", folder, recipe_for("int8"), is_tied=True)
    build_checkpoint(request, lambda _done, _total: None)
    told: list[tuple[int, int]] = []
    figures = measure_form(request, lambda done, total: told.append((done, total)))
    assert told[-1] == (figures.tokens, figures.tokens)
    assert 0 < figures.kl_nats < 0.1
    assert figures.top1 > 0.8
    assert figures.served_bytes < figures.reference_bytes
