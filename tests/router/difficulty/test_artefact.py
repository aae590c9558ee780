import json
import struct
from pathlib import Path

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.artefact import CARD_FILE, WEIGHTS_FILE, read_artefact, write_artefact

ARRAYS = {"b": np.arange(6, dtype="<f2").reshape(2, 3), "a": np.array([1, 2], dtype=np.uint8), "c": np.ones(1, "<f4")}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    digest = write_artefact(tmp_path, {"name": "n"}, ARRAYS)
    card, arrays = read_artefact(tmp_path)
    assert card["weights_sha256"] == digest
    assert card["name"] == "n"
    assert {name: array.tolist() for name, array in arrays.items()} == {k: v.tolist() for k, v in ARRAYS.items()}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_artefact(tmp_path / name, {"name": "n"}, dict(reversed(ARRAYS.items())))
    for file in (CARD_FILE, WEIGHTS_FILE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_weights_are_laid_out_as_safetensors(tmp_path: Path) -> None:
    write_artefact(tmp_path, {}, ARRAYS)
    blob = (tmp_path / WEIGHTS_FILE).read_bytes()
    (length,) = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8 : 8 + length])
    assert header["b"] == {"dtype": "F16", "shape": [2, 3], "data_offsets": [2, 14]}
    assert len(blob) == 8 + length + 18


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    write_artefact(tmp_path, {}, ARRAYS)
    blob = bytearray((tmp_path / WEIGHTS_FILE).read_bytes())
    blob[-1] ^= 1
    (tmp_path / WEIGHTS_FILE).write_bytes(blob)
    with pytest.raises(ConfigError, match="sha256"):
        read_artefact(tmp_path)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    write_artefact(tmp_path, {"format_version": 99}, ARRAYS)
    with pytest.raises(ConfigError, match="99"):
        read_artefact(tmp_path)


def test_a_missing_artefact_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="headrace router train"):
        read_artefact(tmp_path)


@pytest.mark.parametrize("blob", [b"", b"\xff" * 64, struct.pack("<Q", 4) + b"null" + b"x"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, blob: bytes) -> None:
    import hashlib  # noqa: PLC0415  (used here only)

    write_artefact(tmp_path, {}, ARRAYS)
    card = json.loads((tmp_path / CARD_FILE).read_text())
    card["weights_sha256"] = hashlib.sha256(blob).hexdigest()
    (tmp_path / CARD_FILE).write_text(json.dumps(card))
    (tmp_path / WEIGHTS_FILE).write_bytes(blob)
    with pytest.raises(ConfigError):
        read_artefact(tmp_path)
