"""Serve the tiny mixture with vLLM on this machine, once for each arm, and write what came out. Run as a process.

usage: serve_tiny.py REQUEST.json. Each arm is a name, the environment of its hooks and its engine arguments; vLLM loads
the plug-in itself, through the entry point. The answer is REQUEST.pt: for each arm the logits of every prompt token and
of every generated one, the tokens, and what the plug-in counted.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TORCH_COMPILE_DISABLE": "1",  # else a minute goes into compiling how logits are ranked
}

import torch
import vllm.plugins
from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.model_executor.custom_op import op_registry_oot
from vllm.v1.attention import selector
from vllm.v1.attention.backends.registry import AttentionBackendEnum

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import state

HOOKS = ("HEADRACE_ATTENTION", "HEADRACE_ATTENTION_OPTIONS", "HEADRACE_MOE", "HEADRACE_MOE_OPTIONS", "HEADRACE_KERNELS")


def main(request: Path) -> None:
    asked = json.loads(request.read_text())
    gc.freeze()  # each engine collects garbage many times, and all of vLLM with it
    answers = {}
    for arm in asked["arms"]:
        began = time.perf_counter()
        answers[arm["name"]] = serve(asked, arm) | {"seconds": time.perf_counter() - began}
        torch.save(answers, request.with_suffix(".pt"))


def serve(asked: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
    as_new()
    os.environ.update(arm.get("env", {}))
    arguments = {"max_num_batched_tokens": 2048, "block_size": 32} | arm.get("engine", {})
    llm = LLM(
        model=asked["model"],
        dtype="float32",
        skip_tokenizer_init=True,
        enforce_eager=True,
        max_model_len=1024,
        max_num_seqs=4,
        kv_cache_memory_bytes=64 * 2**20,
        logprobs_mode="raw_logits",
        max_logprobs=-1,
        enable_prefix_caching=False,
        **arguments,
    )
    params = SamplingParams(
        temperature=0.0, max_tokens=asked["tokens"], logprobs=-1, prompt_logprobs=-1, detokenize=False
    )
    params.ignore_eos = True
    found = llm.generate([{"prompt_token_ids": ids} for ids in asked["prompts"]], params, use_tqdm=False)
    answer = {
        "prompt_logits": [_table(one.prompt_logprobs[1:]) for one in found],
        "logits": [_table(one.outputs[0].logprobs) for one in found],
        "tokens": [list(one.outputs[0].token_ids) for one in found],
        "state": state.snapshot(),
    }
    del llm
    cleanup_dist_env_and_memory()
    gc.collect()
    return answer


def as_new() -> None:
    """Take every hook out and let vLLM look for plug-ins again, as a fresh process would."""
    for name in HOOKS:
        os.environ.pop(name, None)
    AttentionBackendEnum.CPU_ATTN.clear_override()
    selector._cached_get_attn_backend.cache_clear()
    op_registry_oot.pop("UnquantizedFusedMoEMethod", None)
    vllm.plugins.plugins_loaded = False
    state.forget()
    dispatch.forget_refusals()
    with contextlib.suppress(ImportError):
        attention = importlib.import_module("headrace.kernels.vllm_plugin.attention")
        attention.options_now.cache_clear()


def _table(rows: Any) -> torch.Tensor:
    """Return [tokens, vocabulary] of rows of {token: logit}."""
    table = torch.empty(len(rows), len(rows[0]))
    for at, row in enumerate(rows):
        for token, one in row.items():
            table[at, token] = one.logprob
    return table


if __name__ == "__main__":
    main(Path(sys.argv[1]))
