"""The process of one vLLM engine: its command line and environment, for CPU and CUDA. Starts nothing itself."""

import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import aiohttp

from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.kernels import KernelChoice, clear_report, kernel_argv, kernel_env
from headrace.models.backends.resources import Share
from headrace.models.backends.supervisor import ProcessSpec, Say
from headrace.models.backends.warmup import warm_up

# Everything else of the gateway's environment (provider keys above all) stays with the gateway.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES")
_MOST_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One model to serve.

    name: the backend's id. model: the name the engine serves under. folder: weights, config, tokenizer and template.
    engine_args: the catalogue's own flags (tool parser). share: threads and memory (resources.plan_resources).
    kernels: which of headrace's kernels it is asked to use; None leaves it as vLLM comes.
    """

    name: str
    model: str
    folder: Path
    context_tokens: int
    share: Share
    engine_args: Sequence[str] = ()
    capabilities: frozenset[str] = frozenset({"stream", "logprobs", "tools", "json_schema"})
    is_eager: bool = True
    most_running: int = 16
    most_waiting: int = 64
    stop_s: float = 30.0
    start_s: float = 600.0
    kernels: KernelChoice | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """A spec for the supervisor, the endpoint it will serve, and the folder where its plug-in reports."""

    process: ProcessSpec
    endpoint: EndpointSpec = field(repr=False)
    kernel_state: Path | None = None


def build_engine(
    spec: EngineSpec,
    *,
    python: Path,
    home: Path,
    session: aiohttp.ClientSession,
    environ: Mapping[str, str],
    port: int | None = None,
) -> Engine:
    """Return the engine's process and endpoint; port and key are chosen here and stay the same over restarts.

    python: the engine environment's interpreter. home: where logs and caches go. environ: the gateway's own.
    """
    port = port or free_port()
    endpoint = EndpointSpec(f"http://127.0.0.1:{port}/v1", secrets.token_urlsafe(32), "vllm")
    preload = find_openmp(python) if not spec.share.gpu_fraction else None

    async def ready(say: Say) -> None:
        await warm_up(session, endpoint, model=spec.model, capabilities=spec.capabilities, say=say)

    if spec.kernels is not None:
        clear_report(state_folder(spec, home))
    process = ProcessSpec(
        name=spec.name,
        argv=engine_argv(spec, python=python, port=port, environ=environ),
        env=engine_env(spec, key=endpoint.api_key, home=home, environ=environ, preload=preload),
        log=home / "logs" / f"{spec.name}.log",
        ready=ready,
        start_s=spec.start_s,
        stop_s=spec.stop_s + 5.0,
    )
    return Engine(process, endpoint, None if spec.kernels is None else state_folder(spec, home))


def state_folder(spec: EngineSpec, home: Path) -> Path:
    """Return where the plug-in of this engine writes what became of its kernels."""
    return home / "run" / "kernels" / spec.name


def engine_argv(
    spec: EngineSpec, *, python: Path, port: int, environ: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """Return the command line. The key is not in it: other users of the host can read command lines."""
    on_gpu = spec.share.gpu_fraction > 0
    memory = (
        ("--gpu-memory-utilization", str(spec.share.gpu_fraction))
        if on_gpu
        else ("--kv-cache-memory-bytes", str(spec.share.kv_bytes), "--block-size", "32", "--dtype", "bfloat16")
    )
    return (
        str(python),
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(spec.folder), "--served-model-name", spec.model),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(spec.context_tokens)),
        *memory,
        *("--max-num-seqs", str(spec.most_running)),
        *("--max-num-queued-reqs", str(spec.most_waiting)),
        *("--max-logprobs", str(_MOST_LOGPROBS)),
        *("--shutdown-timeout", str(int(spec.stop_s))),
        *("--disable-uvicorn-access-log", "--enable-prompt-tokens-details"),
        *(("--enforce-eager",) if spec.is_eager else ()),
        *kernel_argv(spec.kernels, on_gpu=on_gpu, environ=environ),
        *spec.engine_args,
    )


def engine_env(
    spec: EngineSpec, *, key: str, home: Path, environ: Mapping[str, str], preload: Path | None
) -> dict[str, str]:
    """Return the whole environment of the engine."""
    env = {name: environ[name] for name in _INHERITED if name in environ}
    env |= {
        "VLLM_API_KEY": key,
        "VLLM_CACHE_ROOT": str(home / "vllm"),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # a folder named kernels in the working directory would hide a package vLLM needs
    }
    if not spec.share.gpu_fraction:
        env |= {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # binding leaves one compute thread on two cores
            "OMP_NUM_THREADS": str(spec.share.threads),
            "CUDA_VISIBLE_DEVICES": "",
        }
    if preload is not None:
        env["LD_PRELOAD"] = str(preload)
    return env | kernel_env(spec.kernels, state=state_folder(spec, home), environ=environ)


def find_openmp(python: Path) -> Path | None:
    """Return Intel's OpenMP runtime in the interpreter's environment, None where it has none."""
    library = python.parent.parent / "lib" / "libiomp5.so"
    return library if library.exists() else None


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
