import json
from pathlib import Path
from typing import Any

import pytest

from headrace.kernels import doctor
from headrace.kernels.vllm_plugin.options import MoeOptions, Options, SparseOptions

DENSE = {
    "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576, "num_hidden_layers": 30,
    "max_position_embeddings": 131_072, "hidden_act": "silu",
}  # fmt: skip
MIXTURE = DENSE | {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "hidden_size": 2048}


def uses(config: dict[str, Any], options: Options | None = None, *, on_gpu: bool = True) -> dict[str, str | None]:
    return {use.part: use.refused for use in doctor.uses_of(config, options or Options(), on_gpu=on_gpu)}


def folder(tmp_path: Path, config: object) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_a_dense_model_with_a_long_context_gets_sparse_attention() -> None:
    assert uses(DENSE) == {"attention": None, "experts": "no-experts"}


def test_a_mixture_gets_experts_and_rounded_ones() -> None:
    assert uses(MIXTURE | {"head_dim": 128}) == {"attention": None, "experts": None, "int8 and int4 experts": None}


@pytest.mark.parametrize(
    ("config", "part", "reason"),
    [
        (DENSE | {"max_position_embeddings": 2048}, "attention", "short-context"),
        (DENSE | {"head_dim": 256}, "attention", "head-dim"),
        (DENSE | {"sliding_window": 4096}, "attention", "sliding-window"),
        (DENSE | {"kv_lora_rank": 512}, "attention", "latent-attention"),
        ({"hidden_size": 64}, "attention", "no-attention"),
        (MIXTURE | {"hidden_act": "gelu"}, "experts", "activation"),
        (MIXTURE | {"num_experts_per_tok": 32}, "experts", "top-k"),
        (MIXTURE | {"moe_intermediate_size": 100}, "int8 and int4 experts", "group-size"),
    ],
)
def test_what_stays_with_vllm_has_its_reason(config: dict[str, Any], part: str, reason: str) -> None:
    assert uses(config)[part] == reason


def test_a_window_that_is_not_used_is_none() -> None:
    assert uses(DENSE | {"sliding_window": 4096, "use_sliding_window": False})["attention"] is None


def test_the_text_part_of_a_model_with_images_is_read(tmp_path: Path) -> None:
    assert doctor.read_config(folder(tmp_path, {"text_config": DENSE})) == DENSE


def test_the_report_says_what_is_here_and_what_is_on(tmp_path: Path) -> None:
    environ = {"HEADRACE_ATTENTION": "sparse", "HEADRACE_ATTENTION_OPTIONS": '{"budget": 2048}'}
    report = doctor.examine(folder(tmp_path, DENSE), environ)
    assert report.problems == []
    assert report.versions["vllm"].startswith("0.32")
    assert report.hooks["attention"] == "on"
    assert report.hooks["moe"].startswith("off: HEADRACE_MOE=headrace")
    text = doctor.render(report)
    assert "attention, 30 layers of 9 heads over 3, D = 64: headrace; 2048 tokens kept" in text
    assert "experts, none: vLLM (no-experts)" in text


def test_bad_options_are_a_problem_and_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_ATTENTION", "fast")
    assert doctor.main([]) == 1
    assert "problem   HEADRACE_ATTENTION='fast'" in capsys.readouterr().out


def test_json_holds_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEADRACE_ATTENTION", raising=False)
    assert doctor.main(["--json", "--model", str(folder(tmp_path, MIXTURE))]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [use["part"] for use in said["uses"]] == ["attention", "experts", "int8 and int4 experts"]


@pytest.mark.parametrize(("text", "what"), [(None, "name a folder"), ("{", "no JSON"), ("[]", "no object")])
def test_a_folder_without_a_config_is_told_with_the_cure(
    tmp_path: Path, text: str | None, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    assert doctor.main(["--model", str(tmp_path)]) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize(("version", "what"), [("absent", "not installed here"), ("0.33.1", "vllm>=0.32,<0.33")])
def test_another_vllm_or_none_is_a_problem(version: str, what: str) -> None:
    (problem,) = doctor._unfit(version)
    assert what in problem


def test_the_path_follows_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    for mode, said in (("off", "off:"), ("torch", "torch, as HEADRACE_KERNELS says"), ("auto", "torch (no-")):
        monkeypatch.setenv("HEADRACE_KERNELS", mode)
        assert doctor._path().startswith(said)


def test_options_change_what_is_kept_and_the_group() -> None:
    options = Options(SparseOptions(budget=2048, min_tokens=100, dense_layers=0), MoeOptions(group=32))
    attention, _, rounded = doctor.uses_of(MIXTURE | {"head_dim": 128}, options, on_gpu=False)
    assert attention.note == "2048 tokens kept of contexts from 100 on, no layer dense"
    assert rounded.note == "groups of 32"


def test_a_model_whose_layers_are_all_dense_keeps_vllms_attention() -> None:
    assert uses(DENSE, Options(SparseOptions(dense_layers=30)))["attention"] == "dense-layer"
    assert uses(DENSE, Options(SparseOptions(dense_layers=29)))["attention"] is None


def test_decodes_alone_may_be_ours() -> None:
    attention, *_ = doctor.uses_of(DENSE, Options(SparseOptions(min_query=10**6)), on_gpu=True)
    assert attention.refused is None
    assert attention.note.endswith("; prompts: vLLM (short-query)")


@pytest.mark.parametrize(
    ("layers", "said"), [(2, "the first 2 layers dense"), ((0, 7, 18), "layers 0, 7, 18 dense"), ((), "no layer dense")]
)
def test_the_layers_that_stay_dense_are_named(layers: int | tuple[int, ...], said: str) -> None:
    options = Options(SparseOptions(dense_layers=layers))
    attention, *_ = doctor.uses_of(MIXTURE | {"head_dim": 128}, options, on_gpu=False)
    assert attention.refused is None
    assert attention.note.endswith(said)
