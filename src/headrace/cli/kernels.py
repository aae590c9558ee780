"""`headrace kernels`: what the kernels would do for a model on this machine, asked in the engine's environment."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from headrace.contracts.errors import SetupError
from headrace.models.store.store import Store

app: Final = typer.Typer(help="What headrace's kernels would do here.", no_args_is_help=True, add_completion=False)
_ENGINE_PYTHON: Final = Path(".venv-engine/bin/python")


@app.callback()
def kernels() -> None:
    """What headrace's kernels would do here."""


@app.command()
def doctor(
    *,
    model: Annotated[str | None, typer.Option(help="A catalogue id, or a folder with a model in it.")] = None,
    engine_python: Annotated[Path, typer.Option(help="The engine environment's python.")] = _ENGINE_PYTHON,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Print the device, the versions, and which kernels a model would be served with and why not."""
    if not engine_python.exists():
        raise SetupError(f"{engine_python} does not exist; run: make setup (or name it with --engine-python)")
    folder = None if model is None else _folder(model)
    command = [str(engine_python), "-P", "-m", "headrace.kernels.doctor"]
    command += [] if folder is None else ["--model", str(folder)]
    command += ["--json"] if as_json else []
    # This process has no torch; the other one prints for both.
    sys.stdout.flush()
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603  (the engine environment's own python)


def _folder(model: str) -> Path:
    """Return the folder of a model that is named by its folder or by its id."""
    path = Path(model)
    return path if path.is_dir() else Store().path(model)
