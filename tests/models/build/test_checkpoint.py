from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the build runs in the engine environment")

import json  # noqa: E402

from safetensors.torch import load_file  # noqa: E402

from headrace.contracts.errors import StoreError  # noqa: E402
from headrace.kernels.int8_rounding import restore  # noqa: E402
from headrace.models.build.checkpoint import CheckpointRequest, build_checkpoint  # noqa: E402
from headrace.models.build.recipes import recipe_for  # noqa: E402
from tests.support.tiny_gguf import write_tiny  # noqa: E402

pytestmark = pytest.mark.engine_env


def build(folder: Path, form: str, *, head: str = "tied", is_tied: bool = True) -> Path:
    write_tiny(folder / "m.gguf", head=head)
    out = folder / form
    out.mkdir()
    told: list[tuple[int, int]] = []
    request = CheckpointRequest(folder / "m.gguf", out, recipe_for(form), is_tied)
    built = build_checkpoint(request, lambda done, total: told.append((done, total)))
    assert told[-1] == (built.parameters, built.parameters)
    return out


def test_the_plain_form_is_the_very_model_that_transformers_reads_from_the_gguf(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    folder = build(tmp_path, "bf16")
    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32)
    for name, weight in ours.state_dict().items():
        torch.testing.assert_close(weight, theirs.state_dict()[name].to(torch.bfloat16).to(torch.float32), msg=name)


def test_the_int8_form_stands_for_the_plain_one(tmp_path: Path) -> None:
    plain = load_file(build(tmp_path, "bf16") / "model.safetensors")
    folder = build(tmp_path, "int8")
    rounded = load_file(folder / "model.safetensors")
    scales = {name for name in rounded if name.endswith("_scale")}
    assert len(scales) == 14
    for name, weight in plain.items():
        if f"{name}_scale" in scales:
            back = restore(rounded[name], rounded[f"{name}_scale"])
            assert float((back - weight.to(torch.float32)).abs().max()) <= float(rounded[f"{name}_scale"].max()) * 0.51
        else:
            assert torch.equal(rounded[name], weight)
    assert json.loads((folder / "config.json").read_text())["quantization_config"]["format"] == "int-quantized"


def test_a_shared_matrix_stored_twice_is_written_once_from_its_finer_rounding(tmp_path: Path) -> None:
    tensors = load_file(build(tmp_path, "bf16", head="twice") / "model.safetensors")
    weights = write_tiny(tmp_path / "again.gguf")["token_embd.weight"]
    assert "lm_head.weight" not in tensors
    error = (tensors["model.embed_tokens.weight"].to(torch.float32) - torch.from_numpy(weights)).abs().max()
    assert float(error) < 0.02


def test_matrices_that_differ_are_not_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="so they are not one matrix"):
        build(tmp_path, "bf16", head="own")


def test_an_own_head_is_kept_where_the_family_has_one(tmp_path: Path) -> None:
    folder = build(tmp_path, "bf16", head="own", is_tied=False)
    assert "lm_head.weight" in load_file(folder / "model.safetensors")
    assert not json.loads((folder / "config.json").read_text())["tie_word_embeddings"]


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = build(tmp_path / "a", "int8"), build(tmp_path / "b", "int8")
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
