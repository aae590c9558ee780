"""How the host's cores and memory are divided among the engines. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.errors import EngineError

GIB = 2**30
_PROCESS_BYTES = 5 * GIB // 2  # what one engine's three processes hold beside weights and cache (measured: 2.3 to 3.9)
_RESERVE_BYTES = 1 * GIB  # gateway, workers and the page cache
_LEAST_KV_BYTES = GIB // 4
_MOST_KV_BYTES = 2 * GIB
_LEAST_THREADS = 2


@dataclass(frozen=True, slots=True)
class Host:
    """What there is: logical cores, memory available now, and GPUs."""

    cores: int
    memory_bytes: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class EngineNeed:
    """What one engine holds whatever happens: the bytes of its weights."""

    name: str
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Share:
    """One engine's part: compute threads, bytes of KV cache, and its fraction of GPU memory (0.0 without a GPU)."""

    threads: int
    kv_bytes: int
    gpu_fraction: float = 0.0


def plan_resources(host: Host, engines: Sequence[EngineNeed]) -> Mapping[str, Share]:
    """Divide the host; EngineError, naming the lack, when the engines cannot live side by side.

    Cores are divided evenly, but never below two: a cascade's engines mostly take turns, and one thread alone halves
    the speed of a single answer.
    """
    if not engines:
        return {}
    count = len(engines)
    fixed = _RESERVE_BYTES + sum(_PROCESS_BYTES + engine.weight_bytes for engine in engines)
    if host.gpus:
        fixed = _RESERVE_BYTES + count * _PROCESS_BYTES
    kv_bytes = min((host.memory_bytes - fixed) // count, _MOST_KV_BYTES)
    if kv_bytes < _LEAST_KV_BYTES:
        needed = (fixed + count * _LEAST_KV_BYTES) / GIB
        raise EngineError(
            f"{count} engines need {needed:.1f} GiB of memory and {host.memory_bytes / GIB:.1f} GiB are free; "
            "stop something or name fewer models in the config"
        )
    threads = max(host.cores // count, min(host.cores, _LEAST_THREADS))
    fraction = round(0.9 / -(-count // host.gpus), 3) if host.gpus else 0.0
    return {engine.name: Share(threads, kv_bytes, fraction) for engine in engines}
