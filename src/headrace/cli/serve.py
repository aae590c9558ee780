"""`headrace serve`: the gateway in the foreground, against whatever backends one config file names."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from headrace.gateway.server import GatewayServer, bind, stops_on_signals
from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import Settings
from headrace.gateway.wiring import System, load_artefacts

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

MAX_PORT = 65_535


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="The config file; the packaged default if left out.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=MAX_PORT, help="Listen here instead of server.port.")] = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM, then let running answers finish."""
    settings = _read(config, port)
    uvloop.run(_serve(settings, lambda path: _read(path, port)))


def _read(config: Path | None, port: int | None) -> Settings:
    settings = load(config)
    return settings if port is None else replace(settings, server=replace(settings.server, port=port))


async def _serve(settings: Settings, reload: Callable[[Path], Settings]) -> None:
    listener = bind(settings.server)
    system = System(settings, load_artefacts())
    system.start()
    try:
        server = GatewayServer(system, listener, settings, load=reload)
        with stops_on_signals(server.stop):
            _say(_first_line(settings, listener.getsockname()[1], keys=system.revisions.current.auth.is_on))
            await server.run()
    finally:
        await system.stop()


def _first_line(settings: Settings, port: int, *, keys: bool) -> str:
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    access = "keys on" if keys else "keys off: everybody on this machine may ask"
    return f"headrace listens on http://{host}:{port} (config {settings.revision}, {access})"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
