"""`headrace serve`: the gateway in the foreground, against whatever backends one config file names."""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from headrace.contracts.errors import HeadraceError
from headrace.gateway.server import GatewayServer, bind, stops_on_signals
from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import Settings
from headrace.gateway.wiring.processes import Processes, is_needed, launch
from headrace.gateway.wiring.system import Artefacts, System, load_artefacts
from headrace.models.backends.session import make_session
from headrace.models.backends.supervisor import Supervisor

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

MAX_PORT: Final = 65_535
ENGINE_PYTHON: Final = "HEADRACE_ENGINE_PYTHON"
TELL_S: Final = 0.5
GC_THRESHOLDS: Final = (20_000, 20, 100)

Reload = Callable[[Path], Settings]
Say = Callable[[str, str], None]
OnReady = Callable[[str], None]


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="The config file; the packaged default if left out.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=MAX_PORT, help="Listen here instead of server.port.")] = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM, then let running answers finish."""

    def read(path: Path | None) -> Settings:
        settings = load(path)
        return settings if port is None else replace(settings, server=replace(settings.server, port=port))

    serve_settings(read(config), read, engine_python=find_engine_python())


def serve_settings(
    settings: Settings,
    reload: Reload,
    *,
    engine_python: Path | None,
    say: Say | None = None,
    on_ready: OnReady | None = None,
) -> None:
    """Serve until told to stop. Blocks.

    reload: reads the config again. say(process, what it waits for): told while engines start. on_ready(url): told once
    /readyz says yes. Raises what keeps the gateway from starting.
    """
    try:
        uvloop.run(_serve(settings, reload, engine_python, say or _say, on_ready or _ready))
    except* HeadraceError as group:
        raise _first(group) from None


async def _serve(settings: Settings, reload: Reload, engine_python: Path | None, say: Say, on_ready: OnReady) -> None:
    listener = bind(settings.server)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        session = await stack.enter_async_context(make_session())
        supervisor, processes = None, Processes()
        if is_needed(settings):
            supervisor = await stack.enter_async_context(Supervisor(settings.home / "run"))
            processes = launch(settings, supervisor, session, engine_python=engine_python)
        artefacts = load_artefacts()
        system = System(settings, artefacts, session, processes)
        system.start()
        stack.push_async_callback(system.stop)
        url = _url(settings, listener)
        server = GatewayServer(system, listener, settings, load=reload, on_ready=lambda: on_ready(url))
        _calm_the_collector()
        _print(f"headrace listens on {url} (config {settings.revision}, {_access(system)})")
        for model in _unjudged(settings, artefacts):
            _print(f"{model}: not calibrated, so it keeps only what looks surely easy (`headrace router calibrate`)")
        with stops_on_signals(server.stop):
            await _run(server, supervisor, say)


async def _run(server: GatewayServer, supervisor: Supervisor | None, say: Say) -> None:
    """Serve; meanwhile tell how the processes come up, and end everything when one cannot start at all."""
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(_tell(supervisor, say)) if supervisor is not None else None
        await server.run()
        if starting is not None:
            starting.cancel()


async def _tell(supervisor: Supervisor, say: Say) -> None:
    told: dict[str, str] = {}
    ready = asyncio.ensure_future(supervisor.wait_ready())
    try:
        while not ready.done():
            for status in supervisor.statuses():
                line = f"{status.state}: {status.detail}" if status.detail else status.state
                if told.get(status.name) != line:
                    told[status.name] = line
                    say(status.name, line)
            await asyncio.wait({ready}, timeout=TELL_S)
        ready.result()
    finally:
        ready.cancel()


def find_engine_python() -> Path | None:
    """Return the interpreter of the engines' environment: the one that is named, else that beside the source tree."""
    named = os.environ.get(ENGINE_PYTHON)
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[3] / ".venv-engine" / "bin" / "python"
    return beside if beside.exists() else None


def _calm_the_collector() -> None:
    """Keep the modules loaded at start out of every later collection: a full one costs tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _url(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _access(system: System) -> str:
    return "keys on" if system.revisions.current.auth.is_on else "keys off: everybody on this machine may ask"


def _unjudged(settings: Settings, artefacts: Artefacts) -> list[str]:
    """Return the models below the last tier whose answers nobody can judge."""
    policy = settings.policy
    cheap = (policy.cards[backend].id for tier in policy.tiers[:-1] for backend in tier.backend_ids())
    return sorted(set(cheap) - artefacts.calibrated)


def _say(process: str, line: str) -> None:
    _print(f"{process}: {line}")


def _ready(url: str) -> None:
    _print(f"ready: {url}")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _first(group: BaseExceptionGroup[HeadraceError]) -> HeadraceError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
