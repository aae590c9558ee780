"""`headrace up`, what `make serve` runs: checks, builds, fetches and imports what is missing, then serves."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from headrace.cli.serve import Reload, serve_settings
from headrace.gateway.server import bind
from headrace.gateway.settings.load import load
from headrace.gateway.settings.tree import Settings
from headrace.models.store.store import Store
from headrace.setup.display import Display, open_display
from headrace.setup.instance import Instance
from headrace.setup.prepare import terminable
from headrace.setup.readying import Readying

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

INTERRUPTED: Final = 130
MAX_PORT: Final = 65_535


@app.command()
def up(
    config: Annotated[Path | None, typer.Option(help="The config file; the packaged default if left out.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=MAX_PORT, help="Listen here instead of server.port.")] = None,
    *,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Build and fetch, start nothing.")] = False,
) -> None:
    """Build what is missing, fetch the models, start engines and gateway."""
    console = Console(highlight=False)
    settings = _read(config, port)
    readying = Readying(settings, Store())
    try:
        if prepare_only:
            _make_ready(readying, console)
            return
        with Instance(readying.home, port=settings.server.port):
            bind(settings.server).close()  # a port in use is told now, not after the building
            _make_ready(readying, console)
            _serve(settings, lambda path: _read(path, port), readying.engine_python, console)
    except KeyboardInterrupt as exc:
        console.print("headrace up: stopped; what is finished is kept, the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from exc


def _read(config: Path | None, port: int | None) -> Settings:
    settings = load(config)
    return settings if port is None else replace(settings, server=replace(settings.server, port=port))


def _make_ready(readying: Readying, console: Console) -> None:
    for warning in readying.check():
        console.print(f"headrace up: {warning}")
    with _display(console) as display, terminable():
        readying.run(display)


def _serve(settings: Settings, reload: Reload, engine_python: Path, console: Console) -> None:
    with ExitStack() as stack:
        display = stack.enter_context(_display(console))

        def tell(process: str, line: str) -> None:
            if line == "ready":
                display.end(f"engine {process}", "ready")
            else:
                display.show(f"engine {process}", line)

        def say_ready(url: str) -> None:
            stack.close()
            console.print(ready_line(url, has_keys=settings.keys.are_on), soft_wrap=True, markup=False)

        serve_settings(settings, reload, engine_python=engine_python, say=tell, on_ready=say_ready)


def ready_line(url: str, *, has_keys: bool) -> str:
    """Return the one line that says where headrace is and how to ask it something."""
    key = " -H 'authorization: Bearer YOUR_KEY'" if has_keys else ""
    body = '{"model":"headrace/auto","messages":[{"role":"user","content":"What is the capital of France?"}]}'
    return (
        f"ready: {url}/v1  try: curl -s {url}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'"
    )


@contextmanager
def _display(console: Console) -> Iterator[Display]:
    display = open_display(console)
    try:
        yield display
    finally:
        display.close()
