from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the build runs in the engine environment")

import json
import subprocess
import sys
from typing import Any

from tests.support.tiny_gguf import write_tiny

pytestmark = pytest.mark.engine_env


def build(request: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "headrace.models.build"],
        input=json.dumps(request), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def request(folder: Path, **fields: object) -> dict[str, Any]:
    write_tiny(folder / "model.gguf")
    (folder / "out").mkdir()
    return {
        "form": "int8", "files": {"model.gguf": str(folder / "model.gguf")}, "folder": str(folder / "out"),
        "tied": True, "template_edits": {}, "max_tokens": 8, "measure": False, **fields,
    }  # fmt: skip


def test_a_request_ends_in_a_folder_and_a_result(tmp_path: Path) -> None:
    code, lines = build(request(tmp_path))
    assert code == 0
    assert lines[0]["step"] == "import"
    assert len(lines[-1]["result"]["weights_sha256"]) == 64
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
        "generation_config.json",
    }  # fmt: skip


def test_a_refusal_is_the_last_line(tmp_path: Path) -> None:
    code, lines = build(request(tmp_path, form="int2"))
    assert code == 1
    assert "no recipe makes the form 'int2'" in lines[-1]["error"]
