"""How an engine is asked to use headrace's kernels, and what its plug-in says became of it. Imports no kernel.

The words and variables are those of kernels/vllm_plugin, which the gateway's process cannot import: it has no torch. A
test holds both sides equal.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

MODE_VARIABLE: Final = "HEADRACE_KERNELS"
STATE_VARIABLE: Final = "HEADRACE_KERNELS_STATE"
ATTENTION_VARIABLE: Final = "HEADRACE_ATTENTION"
ATTENTION_OPTIONS_VARIABLE: Final = "HEADRACE_ATTENTION_OPTIONS"
MOE_VARIABLE: Final = "HEADRACE_MOE"
FULL_ATTENTION: Final = '{"backend_per_kind": {"full_attention": "CUSTOM"}}'
PAGE_TOKENS: Final = 64
MOST_FILES: Final = 64
MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class KernelChoice:
    """What is asked of an engine. attention: options of sparse attention, None leaves attention to vLLM."""

    attention: Mapping[str, int | str | list[int]] | None = None
    has_moe: bool = False
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class KernelReport:
    """What the plug-in of an engine's processes said. served: calls by hook. refusals: calls by (op, reason)."""

    installed: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    served: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[tuple[str, str], int] = field(default_factory=dict)


def kernel_argv(choice: KernelChoice | None, *, on_gpu: bool, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the command line needs beside vLLM's own flags; nothing where the kill switch is on."""
    if choice is None or environ.get(MODE_VARIABLE) == "off":
        return ()
    flags: list[str] = []
    if choice.attention is not None and on_gpu:
        # Other kinds of attention keep the backend that vLLM chooses; the CPU has no choice to make. Larger pages keep
        # the statistics of pages small.
        flags += ["--attention-config", FULL_ATTENTION, "--block-size", str(PAGE_TOKENS)]
    if choice.quantization is not None:
        flags += ["--quantization", f"headrace_{choice.quantization}"]
    return tuple(flags)


def kernel_env(choice: KernelChoice | None, *, state: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the plug-in reads; nothing where no kernel is asked for, so that it does nothing."""
    if choice is None:
        return {}
    env = {STATE_VARIABLE: str(state)}
    if MODE_VARIABLE in environ:
        env[MODE_VARIABLE] = environ[MODE_VARIABLE]
    if choice.attention is not None:
        env[ATTENTION_VARIABLE] = "sparse"
        env[ATTENTION_OPTIONS_VARIABLE] = json.dumps(dict(choice.attention), sort_keys=True)
    if choice.has_moe:
        env[MOE_VARIABLE] = "headrace"
    return env


def clear_report(folder: Path) -> None:
    """Remove what engines of an earlier gateway wrote."""
    for path in (*folder.glob("*.json"), *folder.glob("*.tmp")):
        path.unlink(missing_ok=True)


def read_report(folder: Path) -> KernelReport:
    """Add up what the processes wrote: counts of all, hooks of those that still run. Unreadable files are left out."""
    installed: dict[str, str] = {}
    failed: dict[str, str] = {}
    served: Counter[str] = Counter()
    refusals: Counter[tuple[str, str]] = Counter()
    for path in sorted(folder.glob("*.json"))[:MOST_FILES]:
        said = _read(path)
        served.update({str(hook): int(count) for hook, count in said.get("served", {}).items()})
        refusals.update({(str(op), str(reason)): int(count) for op, reason, count in said.get("refusals", ())})
        if path.stem.isdecimal() and psutil.pid_exists(int(path.stem)):
            installed.update(said.get("installed", {}))
            failed.update(said.get("failed", {}))
    return KernelReport(installed, failed, dict(served), dict(refusals))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
