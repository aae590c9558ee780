"""The local processes one config asks for: an engine for each `engine: vllm` backend and a worker for embeddings."""

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from headrace.contracts.errors import ConfigError
from headrace.contracts.protocols import Embedder
from headrace.gateway.settings.tree import EngineBackend, Settings
from headrace.models.backends.encode import EndpointSpec
from headrace.models.backends.kernels import KernelChoice
from headrace.models.backends.resources import EngineNeed, Host, Share, plan_resources
from headrace.models.backends.supervisor import ProcessSpec, Supervisor
from headrace.models.backends.vllm import EngineSpec, build_engine, free_port
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store.store import Store
from headrace.retrieval.embed.client import EmbedClient
from headrace.retrieval.embed.launch import worker_argv, worker_env

EMBED: Final = "embed"
WORKER_START_S: Final = 60.0
WORKER_STOP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A local process that serves one backend: where it listens, whether it runs, where its plug-in reports."""

    endpoint: EndpointSpec
    is_up: Callable[[], bool]
    kernel_state: Path | None = None


@dataclass(frozen=True, slots=True)
class Processes:
    """The local processes of this gateway, by backend id, and the embedder with its model's folder if one is served."""

    engines: Mapping[str, Engine] = field(default_factory=dict)
    embedder: Embedder | None = None
    embedder_folder: Path | None = None
    states: Callable[[], Mapping[str, str]] = dict


def is_needed(settings: Settings) -> bool:
    """Tell whether a config asks for any local process."""
    return bool(settings.engines) or settings.embeddings is not None


def launch(
    settings: Settings,
    supervisor: Supervisor,
    session: aiohttp.ClientSession,
    *,
    engine_python: Path | None,
    environ: Mapping[str, str] = os.environ,
) -> Processes:
    """Start every process and return at once; the supervisor says when they serve.

    StoreError when a model is not there, ConfigError without an engine environment, EngineError without the memory.
    """
    store, catalogue = Store(settings.home), Catalogue.packaged()
    engines: dict[str, Engine] = {}
    python = _environment(settings.engines, engine_python)
    shares = _shares(settings.engines, catalogue)
    for backend in settings.engines:
        entry = catalogue.get(backend.model)
        spec = EngineSpec(
            name=backend.id,
            model=backend.model,
            folder=store.path(backend.model),
            context_tokens=backend.card.context_tokens,
            share=_chosen(backend, shares[backend.id]),
            engine_args=entry.engine_args,
            capabilities=frozenset(backend.card.capabilities),
            is_eager=backend.eager,
            kernels=_kernels(backend),
        )
        engine = build_engine(spec, python=python, home=settings.home, session=session, environ=environ)
        supervisor.start(engine.process)
        engines[backend.id] = Engine(engine.endpoint, _readiness(supervisor, backend.id), engine.kernel_state)
    embedder = _embedder(settings.embeddings, settings.home, supervisor, session, environ)
    folder = None if settings.embeddings is None else store.path(settings.embeddings)
    return Processes(engines, embedder, folder, lambda: {status.name: status.state for status in supervisor.statuses()})


def host_now() -> Host:
    """Return what this machine has: the cores we may use, the memory that is free, its GPUs."""
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return Host(len(os.sched_getaffinity(0)), psutil.virtual_memory().available, gpus)


def _kernels(backend: EngineBackend) -> KernelChoice | None:
    asked = backend.kernels
    return None if asked is None else KernelChoice(asked.attention, asked.has_moe, asked.quantization)


def _environment(engines: tuple[EngineBackend, ...], python: Path | None) -> Path:
    """Return the engines' interpreter; it may be missing where no engine is asked for."""
    if engines and (python is None or not python.exists()):
        raise ConfigError(
            f"backend {engines[0].id!r} needs an engine and there is no engine environment; run `make serve` once, "
            "set HEADRACE_ENGINE_PYTHON, or name `urls` instead of `engine`"
        )
    return python or Path()


def _shares(engines: tuple[EngineBackend, ...], catalogue: Catalogue) -> Mapping[str, Share]:
    needs = [EngineNeed(engine.id, catalogue.get(engine.model).served_bytes) for engine in engines]
    return plan_resources(host_now(), needs)


def _chosen(backend: EngineBackend, share: Share) -> Share:
    """Return the share with what the config fixes."""
    return replace(
        share,
        threads=backend.threads or share.threads,
        kv_bytes=backend.kv_cache_bytes or share.kv_bytes,
    )


def _embedder(
    model: str | None,
    home: Path,
    supervisor: Supervisor,
    session: aiohttp.ClientSession,
    environ: Mapping[str, str],
) -> Embedder | None:
    if model is None:
        return None
    port, key = free_port(), secrets.token_urlsafe(32)
    client = EmbedClient(
        card=Catalogue.packaged().get(model).card,
        url=f"http://127.0.0.1:{port}",
        key=key,
        session=session,
        is_up=_readiness(supervisor, EMBED),
    )
    supervisor.start(
        ProcessSpec(
            name=EMBED,
            argv=worker_argv(python=Path(sys.executable), model_dir=Store(home).path(model), port=port),
            env=worker_env(environ, key=key),
            log=home / "logs" / f"{EMBED}.log",
            ready=client.ready,
            start_s=WORKER_START_S,
            stop_s=WORKER_STOP_S,
        )
    )
    return client


def _readiness(supervisor: Supervisor, name: str) -> Callable[[], bool]:
    return lambda: supervisor.is_ready(name)
