from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the build runs in the engine environment")

import numpy as np
from gguf import GGUFReader

from headrace.contracts.errors import StoreError
from headrace.models.build.gguf_file import GgufFile
from tests.support.tiny_gguf import write_tiny

pytestmark = pytest.mark.engine_env


def test_header_and_bytes_agree_with_the_formats_own_reader(tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf")
    ours, theirs = GgufFile(tmp_path / "m.gguf"), GGUFReader(tmp_path / "m.gguf")
    for tensor in theirs.tensors:
        stored = ours.tensors[tensor.name]
        assert list(stored.shape) == [int(n) for n in reversed(tensor.shape)]
        raw = ours.raw(stored, 0, stored.rows)
        assert np.array_equal(raw.reshape(-1), np.asarray(tensor.data).view(np.uint8).reshape(-1))
    for key in ("tokenizer.ggml.tokens", "llama.rope.freq_base", "tokenizer.chat_template"):
        assert ours.metadata[key] == theirs.fields[key].contents()


@pytest.mark.parametrize("keep", [0, 3, 20, 300])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    write_tiny(tmp_path / "m.gguf")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "m.gguf").read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"cut\.gguf: the GGUF header cannot be read"):
        GgufFile(tmp_path / "cut.gguf")


def test_a_tensor_that_ends_beyond_the_file_is_named(tmp_path: Path) -> None:
    write_tiny(tmp_path / "m.gguf")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "m.gguf").read_bytes()[:-4096])
    with pytest.raises(StoreError, match="ends beyond the file"):
        GgufFile(tmp_path / "cut.gguf")


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"PK" * 50)
    with pytest.raises(StoreError, match="no GGUF magic"):
        GgufFile(tmp_path / "x.gguf")
