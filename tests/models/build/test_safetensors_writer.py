from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the build runs in the engine environment")

import hashlib  # noqa: E402

from safetensors.torch import load_file  # noqa: E402

from headrace.contracts.errors import StoreError  # noqa: E402
from headrace.models.build.safetensors_writer import SafetensorsWriter, TensorSpec  # noqa: E402

pytestmark = pytest.mark.engine_env


def test_what_is_written_is_what_the_library_reads(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 5).to(torch.bfloat16),
        "b": torch.arange(-4, 4, dtype=torch.int8).reshape(2, 4).T,
        "c": torch.tensor([[1.5]]),
    }
    specs = [TensorSpec(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()]
    with SafetensorsWriter(tmp_path / "m", specs, {"format": "pt"}) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)
        digest = writer.finish()
        assert writer.size_bytes == (tmp_path / "m").stat().st_size
    assert digest == hashlib.sha256((tmp_path / "m").read_bytes()).hexdigest()
    read = load_file(tmp_path / "m")
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_tensors_come_in_the_promised_order_and_number(tmp_path: Path) -> None:
    specs = [TensorSpec("a", torch.float32, (1,)), TensorSpec("b", torch.float32, (1,))]
    with SafetensorsWriter(tmp_path / "m", specs, {}) as writer:
        writer.write("a", torch.zeros(1))
        with pytest.raises(StoreError, match="1 promised tensors were not written"):
            writer.finish()
        with pytest.raises(StoreError, match="was promised next"):
            writer.write("c", torch.zeros(1))
