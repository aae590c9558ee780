"""vLLM serves a small mixture through the installed entry point: what comes out, against vLLM alone and by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.kernels import tiny_moe
from tests.support.kernels.chosen import seen_by_block, seen_by_page

PROMPTS = [tiny_moe.prompt(330), tiny_moe.prompt(90, seed=3)]
TOKENS = 4
GROUP = 64
PAGE = 32
SERVE = Path(tiny_moe.__file__).with_name("serve_tiny.py")
BASE = {"sink": 32, "local": 64, "min_tokens": 0, "min_query": 2, "dense_layers": 0, "method": "minmax"}
KEEP_ALL = {"HEADRACE_ATTENTION": "sparse", "HEADRACE_ATTENTION_OPTIONS": json.dumps(BASE | {"budget": 100_000})}
FEW = {"HEADRACE_ATTENTION": "sparse", "HEADRACE_ATTENTION_OPTIONS": json.dumps(BASE | {"budget": 128})}
MOE = {"HEADRACE_MOE": "headrace"}
OFF = KEEP_ALL | MOE | {"HEADRACE_KERNELS": "off"}
# Arms that run by default, and those of the whole matrix.
FIRST: list[dict[str, Any]] = [
    {"name": "stock"},
    {"name": "all of ours", "env": KEEP_ALL | MOE, "engine": {"max_num_batched_tokens": 128}},
    {"name": "few", "env": FEW},
    {"name": "int4", "env": MOE, "engine": {"quantization": "headrace_int4"}},
]
REST: list[dict[str, Any]] = [
    {"name": "int8", "env": MOE, "engine": {"quantization": "headrace_int8"}},
    {"name": "off", "env": OFF, "engine": {"quantization": "headrace_int4"}},
    {"name": "bad", "env": MOE | {"HEADRACE_MOE_OPTIONS": "{"}, "engine": {"quantization": "headrace_int8"}},
    {"name": "mean", "env": FEW | {"HEADRACE_ATTENTION_OPTIONS": json.dumps(BASE | {"budget": 128, "method": "mean"})}},
]

Answers = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return tiny_moe.build(folder)


@pytest.fixture(scope="module")
def first(model: Any, folder: Path) -> Answers:
    del model
    return serve(folder, FIRST)


@pytest.fixture(scope="module")
def rest(model: Any, folder: Path) -> Answers:
    del model
    return serve(folder, REST)


def serve(folder: Path, arms: list[dict[str, Any]]) -> Answers:
    request = folder / "request.json"
    request.write_text(json.dumps({"model": str(folder), "tokens": TOKENS, "prompts": PROMPTS, "arms": arms}))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE", "TRITON", "COV"))}
    command = [sys.executable, "-P", str(SERVE), str(request)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    answers: Answers = torch.load(request.with_suffix(".pt"), weights_only=True)
    return answers


def logits_of(answer: dict[str, Any], prompt: int) -> torch.Tensor:
    """Return the logits of every prompt token but the last, and of every generated one."""
    return torch.cat([answer["prompt_logits"][prompt], answer["logits"][prompt]])


def whole(answer: dict[str, Any], prompt: int) -> list[int]:
    """Return what a model has read when its last token comes out."""
    return PROMPTS[prompt] + answer["tokens"][prompt][:-1]


def test_vllm_without_us_answers_as_the_model_itself(model: Any, first: Answers) -> None:
    for prompt in range(len(PROMPTS)):
        wanted = tiny_moe.logits_of(model, whole(first["stock"], prompt))
        torch.testing.assert_close(logits_of(first["stock"], prompt), wanted, atol=2e-4, rtol=0)
    assert first["stock"]["state"]["installed"] == {}


def test_experts_and_attention_of_ours_answer_as_vllm_does_in_chunks_too(first: Answers) -> None:
    ours = first["all of ours"]
    for prompt in range(len(PROMPTS)):
        torch.testing.assert_close(logits_of(ours, prompt), logits_of(first["stock"], prompt), atol=1e-4, rtol=0)
    assert ours["tokens"] == first["stock"]["tokens"]
    assert set(ours["state"]["installed"]) == {"attention", "moe", "quantization"}
    served = ours["state"]["served"]
    assert served["sparse_decode"] >= tiny_moe.LAYERS * (TOKENS - 1)
    assert served["sparse_prefill"] >= 3 * tiny_moe.LAYERS
    assert served["fused_experts"] >= served["sparse_prefill"]
    assert ours["state"]["failed"] == {}


@pytest.mark.parametrize("prompt", [0, 1])
def test_a_budget_answers_as_the_model_that_sees_only_what_was_chosen(model: Any, first: Answers, prompt: int) -> None:
    check_budget(model, first["few"], prompt, "minmax")


def check_budget(model: Any, answer: dict[str, Any], prompt: int, method: str) -> None:
    asked = len(PROMPTS[prompt])

    def seen(q: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(q.shape[1], len(q), len(keys), dtype=torch.bool)
        found[:, :asked, :asked] = seen_by_block(q[:asked], keys[:asked], method, budget=2, sink=1, local=1, page=PAGE)
        for at in range(asked, len(q)):
            sizes = {"budget": 128 // PAGE, "sink": 1, "local": 2}
            row = seen_by_page(q[at : at + 1], keys[: at + 1], method, page=PAGE, **sizes)
            found[:, at : at + 1, : at + 1] = row
        return found

    with tiny_moe.looking_at(model, seen):
        wanted = tiny_moe.logits_of(model, whole(answer, prompt))
    torch.testing.assert_close(logits_of(answer, prompt), wanted, atol=5e-4, rtol=0)


def check_rounded(model: Any, answer: dict[str, Any], bits: int) -> dict[str, float]:
    """Hold vLLM's answer against the model with rounded experts, and return what rounding costs."""
    rounded = tiny_moe.rounded(model, bits, GROUP)
    for prompt in range(len(PROMPTS)):
        wanted = tiny_moe.logits_of(rounded, whole(answer, prompt))
        torch.testing.assert_close(logits_of(answer, prompt), wanted, atol=5e-4, rtol=0)
    plain, after = (tiny_moe.logits_of(each, PROMPTS[0]) for each in (model, rounded))
    same = tiny_moe.chosen_experts(model, PROMPTS[0]) & tiny_moe.chosen_experts(rounded, PROMPTS[0])
    return {
        "logit_error": float((after - plain).pow(2).mean().sqrt() / plain.pow(2).mean().sqrt()),
        "routing_agreement": float(same.sum() / (same.shape[0] * same.shape[1] * tiny_moe.TOP_K)),
        "same_best_token": float((after.argmax(-1) == plain.argmax(-1)).float().mean()),
    }


def test_int4_experts_answer_as_what_they_stand_for(model: Any, first: Answers, record_property: Any) -> None:
    cost = check_rounded(model, first["int4"], 4)
    record_property("int4", cost)
    assert cost["routing_agreement"] > 0.85
    assert cost["logit_error"] < 0.35
    assert first["int4"]["state"]["served"]["fused_experts"] > 0


@pytest.mark.full
def test_int8_experts_answer_as_what_they_stand_for(model: Any, rest: Answers, record_property: Any) -> None:
    cost = check_rounded(model, rest["int8"], 8)
    record_property("int8", cost)
    assert cost["routing_agreement"] > 0.98
    assert cost["logit_error"] < 0.1


@pytest.mark.full
@pytest.mark.parametrize("prompt", [0, 1])
def test_a_budget_by_means_answers_as_the_model_that_sees_only_what_was_chosen(
    model: Any, rest: Answers, prompt: int
) -> None:
    check_budget(model, rest["mean"], prompt, "mean")


@pytest.mark.full
@pytest.mark.parametrize("arm", ["off", "bad"])
def test_the_kill_switch_and_bad_options_serve_as_vllm_comes(model: Any, rest: Answers, arm: str) -> None:
    for prompt in range(len(PROMPTS)):
        wanted = tiny_moe.logits_of(model, whole(rest[arm], prompt))
        torch.testing.assert_close(logits_of(rest[arm], prompt), wanted, atol=2e-4, rtol=0)
    assert rest[arm]["state"]["served"] == {}
    assert ("options" in rest[arm]["state"]["failed"]) == (arm == "bad")
