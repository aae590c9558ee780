"""`python -m headrace.kernels.doctor`: this device, these versions, and which kernels a model would be served with.

Reads a model's config.json and nothing else of it, starts no engine and touches no GPU beyond asking what it is. Works
in vLLM's own environment after `pip install --no-deps headrace`; `headrace kernels doctor` runs it from the gateway's.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, Final

import torch

from headrace.kernels import dispatch, tuned
from headrace.kernels.vllm_plugin.eligibility import (
    ExpertFacts,
    LayerFacts,
    PartFacts,
    group_for,
    refuse_decode,
    refuse_experts,
    refuse_layer,
    refuse_prefill,
)
from headrace.kernels.vllm_plugin.options import GROUPS, MoeOptions, Options, SparseOptions, read_options
from headrace.kernels.vllm_plugin.versions import UnsupportedVllm, check_version

GROUP: Final = "vllm.general_plugins"
EXPERT_KEYS: Final = ("num_experts", "num_local_experts", "n_routed_experts")
PAGE_ON_GPU: Final = 64
PAGE_ON_CPU: Final = 32
GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Use:
    """What would serve one part of a model. refused: why not ours, None where it is. note: what else to know."""

    part: str
    layers: str
    refused: str | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the doctor says."""

    device: str
    path: str
    versions: Mapping[str, str]
    hooks: Mapping[str, str]
    problems: Sequence[str]
    model: str = ""
    uses: Sequence[Use] = field(default=())


def examine(model: Path | None, environ: Mapping[str, str]) -> Report:
    """Return what is here, and what `model` would be served with. Raises ValueError for a folder without a config."""
    problems: list[str] = []
    try:
        options = read_options(environ)
    except ValueError as exc:
        options = Options()
        problems.append(str(exc))
    versions = {name: _version(name) for name in ("headrace", "torch", "triton", "vllm")}
    problems += _unfit(versions["vllm"])
    uses = () if model is None else uses_of(read_config(model), options, on_gpu=torch.cuda.is_available())
    return Report(
        device=_device(),
        path=_path(),
        versions=versions,
        hooks={
            "attention": "on" if options.attention else "off: HEADRACE_ATTENTION=sparse switches it on",
            "moe": "on" if options.moe else "off: HEADRACE_MOE=headrace switches it on",
        },
        problems=problems,
        model="" if model is None else str(model),
        uses=uses,
    )


def uses_of(config: Mapping[str, Any], options: Options, *, on_gpu: bool) -> tuple[Use, ...]:
    """Return what would serve attention and experts of a model with this config, were the hooks on."""
    return _attention(config, options.attention or SparseOptions(), on_gpu=on_gpu), *_experts(config, options.moe)


def read_config(model: Path) -> dict[str, Any]:
    """Return the config of a model's folder, of its text part where it has several. Raises ValueError without one."""
    path = model / "config.json"
    try:
        found = json.loads(path.read_bytes())
    except OSError as exc:
        raise ValueError(f"{path}: {exc.strerror}; name a folder with a model in it") from exc
    except ValueError as exc:
        raise ValueError(f"{path} is no JSON: {exc}; fetch the model again") from exc
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object; fetch the model again")  # noqa: TRY004  (a bad file)
    text = found.get("text_config")
    return text if isinstance(text, dict) else found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; exit status 1 where something stands in the way of hooks that are on, 2 for a bad folder."""
    parser = argparse.ArgumentParser(prog="python -m headrace.kernels.doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a model's folder, whose config.json is read")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    asked = parser.parse_args(arguments)
    try:
        report = examine(asked.model, os.environ)
    except ValueError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    sys.stdout.write(f"{json.dumps(asdict(report), indent=1)}\n" if asked.json else render(report))
    return 1 if report.problems else 0


def render(report: Report) -> str:
    """Return the report as text."""
    lines = [f"device    {report.device}", f"path      {report.path}"]
    lines += [f"{name:<10}{found}" for name, found in report.versions.items()]
    lines += [f"{name:<10}{found}" for name, found in report.hooks.items()]
    lines += [f"problem   {problem}" for problem in report.problems]
    if report.model:
        lines.append(f"model     {report.model}")
    for use in report.uses:
        served = "headrace" if use.refused is None else f"vLLM ({use.refused})"
        lines.append(f"  {use.part}, {use.layers}: {served}{f'; {use.note}' if use.note else ''}")
    return "\n".join(lines) + "\n"


def _attention(config: Mapping[str, Any], options: SparseOptions, *, on_gpu: bool) -> Use:
    heads = int(config.get("num_attention_heads") or 0)
    size = int(config.get("head_dim") or (int(config.get("hidden_size") or 0) // heads if heads else 0))
    kv_heads = int(config.get("num_key_value_heads") or heads)
    layers = int(config.get("num_hidden_layers") or 0)
    shape = f"{layers} layers of {heads} heads over {kv_heads}, D = {size}"
    if not heads or not kv_heads:
        return Use("attention", shape, "no-attention")
    if config.get("kv_lora_rank"):
        return Use("attention", shape, "latent-attention")
    windowed = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    facts = LayerFacts(
        index=next((layer for layer in range(layers) if not options.is_dense(layer)), 0),
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_size=size,
        sliding_window=windowed if not config.get("layer_types") else None,
        page=PAGE_ON_GPU if on_gpu else PAGE_ON_CPU,
    )
    kept = (
        f"{options.budget} tokens kept of contexts from {options.min_tokens} on, {_dense(options.dense_layers)} dense"
    )
    longest = int(config.get("max_position_embeddings") or options.min_tokens)
    part = PartFacts(most_queries=longest, most_tokens=longest)
    decode = refuse_layer(facts, options) or refuse_decode(part, options)
    prefill = refuse_prefill(part, options)
    return Use("attention", shape, decode, kept if decode or not prefill else f"{kept}; prompts: vLLM ({prefill})")


def _dense(layers: int | tuple[int, ...]) -> str:
    if not layers:
        return "no layer"
    if isinstance(layers, int):
        return f"the first {layers} layers"
    return f"layers {', '.join(map(str, layers))}"


def _experts(config: Mapping[str, Any], options: MoeOptions | None) -> tuple[Use, ...]:
    count = next((int(config[key]) for key in EXPERT_KEYS if config.get(key)), 0)
    if not count:
        return (Use("experts", "none", "no-experts"),)
    top_k = int(config.get("num_experts_per_tok") or config.get("moe_top_k") or 1)
    inner = int(config.get("moe_intermediate_size") or config.get("intermediate_size") or 0)
    hidden = int(config.get("hidden_size") or 0)
    facts = ExpertFacts(
        num_experts=count,
        top_k=top_k,
        activation=str(config.get("hidden_act") or "silu"),
        has_clamp=config.get("swiglu_limit") is not None,
    )
    shape = f"{count} experts of {hidden} x {inner}, {top_k} a token"
    refused = refuse_experts(facts)
    group = group_for((options or MoeOptions()).group, hidden, inner)
    rounded = refused or (None if group else "group-size")
    note = f"groups of {group}" if group else f"no group of {', '.join(map(str, GROUPS))} divides both sizes"
    return Use("experts", shape, refused), Use("int8 and int4 experts", shape, rounded, note)


def _unfit(vllm: str) -> list[str]:
    """Return what keeps the plug-in from working at all."""
    found = []
    if not any(point.name == "headrace" for point in entry_points(group=GROUP)):
        found.append(f"no entry point of headrace in {GROUP}: run pip install --no-deps headrace here")
    if vllm == "absent":
        found.append("vLLM is not installed here: run this with the python that runs vLLM")
        return found
    try:
        check_version(vllm)
    except UnsupportedVllm as exc:
        found.append(str(exc))
    return found


def _version(name: str) -> str:
    # vLLM for CPUs is published under a name of its own.
    for known in (name, f"{name}-cpu") if name == "vllm" else (name,):
        try:
            return version(known)
        except PackageNotFoundError:
            continue
    return "here, without metadata" if importlib.util.find_spec(name) else "absent"


def _device() -> str:
    if not torch.cuda.is_available():
        return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
    found = torch.cuda.get_device_properties(0)
    device = torch.device("cuda", 0)
    return f"{found.name}, {found.total_memory / GIB:.0f} GiB, tuned as {tuned.arch(device)}"


def _path() -> str:
    wanted = dispatch.mode()
    if wanted == "off":
        return "off: the plug-in puts in no hook"
    if wanted == "torch":
        return "torch, as HEADRACE_KERNELS says"
    if importlib.util.find_spec("triton") is None:
        return f"torch ({dispatch.NO_TRITON})"
    return "Triton" if torch.cuda.is_available() else f"torch ({dispatch.NO_GPU})"


if __name__ == "__main__":
    sys.exit(main())
