"""`headrace models`: list, fetch, import, verify and remove models, and say where one is. Each also as JSON."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from headrace.contracts.errors import StoreError
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.store import progress as steps
from headrace.models.store.fetching import fetch as fetch_models
from headrace.models.store.importing import import_model
from headrace.models.store.store import Store, StoredModel

app: Final = typer.Typer(
    help="List, fetch, import, verify and remove models.", no_args_is_help=True, add_completion=False
)
_ENGINE_PYTHON: Final = Path(".venv-engine/bin/python")
_WORDS: Final = {
    "wait": "waiting for another process",
    "fetch": "fetching",
    "join": "joining",
    "import": "importing",
    "measure": "measuring",
    "publish": "hashing",
}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Ids = Annotated[list[str], typer.Argument(help="Catalogue ids; see `headrace models list`.")]
Id = Annotated[str, typer.Argument(help="A catalogue id; see `headrace models list`.")]


@app.command("list")
def list_models(*, as_json: Json = False) -> None:
    """List the catalogue and what of it is on this machine."""
    catalogue, store = Catalogue.packaged(), Store()
    here = {model.id: model for model in store.installed()}
    names = [*catalogue.ids(), *sorted(set(here) - set(catalogue.ids()))]
    rows = [_row(name, catalogue, here.get(name)) for name in names]
    if as_json:
        _print_json(rows)
        return
    table = Table("id", "kind", "parameters", "context", "licence", "on disk", box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:,.0f} MB" if row["is_here"] else "-"
        table.add_row(
            row["id"], row["kind"], f"{row['parameters']:,}", f"{row['context_tokens']:,}", row["license"], size
        )
    Console().print(table)


@app.command()
def fetch(ids: Ids, *, as_json: Json = False) -> None:
    """Fetch the reference weights of models by their pinned hashes."""
    with _bars(hidden=as_json) as on_progress:
        folders = fetch_models(ids, on_progress)
    _done([{"path": str(folder)} for folder in folders], as_json=as_json)


@app.command("import")
def import_(
    ids: Ids,
    *,
    form: Annotated[str | None, typer.Option(help="Make this form instead of the served one: bf16.")] = None,
    measure: Annotated[bool, typer.Option(help="Measure against bf16 and apply the gate, even if known.")] = False,
    engine_python: Annotated[Path, typer.Option(help="The engine environment's python.")] = _ENGINE_PYTHON,
    as_json: Json = False,
) -> None:
    """Make the served form of models, fetching their references first."""
    if not engine_python.exists():
        raise StoreError(f"{engine_python} does not exist; run: make setup (or name it with --engine-python)")
    store = Store()
    made: list[dict[str, Any]] = []
    with _bars(hidden=as_json) as on_progress:
        for model_id in ids:
            path = import_model(model_id, engine_python, on_progress, store=store, form=form, measure=measure)
            name = next(model for model in store.installed() if model.path == path)
            made.append({"id": name.id, "path": str(path), "size_bytes": name.size_bytes, **name.facts})
    _done(made, as_json=as_json)


@app.command()
def verify(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids; none means all.")] = None, *, as_json: Json = False
) -> None:
    """Hash what is stored again and compare."""
    store = Store()
    names = ids or [model.id for model in store.installed()]
    with _bars(hidden=as_json) as on_progress:
        checked = [store.verify(name, on_progress) for name in names]
    _done([{"id": model.id, "digest": model.digest, "is_whole": True} for model in checked], as_json=as_json)


@app.command()
def rm(ids: Ids, *, as_json: Json = False) -> None:
    """Remove models from this machine."""
    store = Store()
    _done([{"id": name, "freed_bytes": store.remove(name)} for name in ids], as_json=as_json)


@app.command()
def path(model_id: Id, *, as_json: Json = False) -> None:
    """Print the folder of a model."""
    folder = Store().path(model_id)
    if as_json:
        _print_json({"id": model_id, "path": str(folder)})
    else:
        sys.stdout.write(f"{folder}\n")


def _row(name: str, catalogue: Catalogue, stored: StoredModel | None) -> dict[str, Any]:
    entry = catalogue.get(name) if name in catalogue.ids() else None
    return {
        "id": name,
        "kind": entry.kind if entry else "form",
        "parameters": entry.parameters if entry else 0,
        "context_tokens": entry.context_tokens if entry else 0,
        "license": entry.license if entry else str(stored.facts.get("license", "")) if stored else "",
        "measured": dict(entry.measured) if entry else {},
        "is_here": stored is not None,
        "size_bytes": stored.size_bytes if stored else 0,
        "path": str(stored.path) if stored else None,
    }


@contextmanager
def _bars(*, hidden: bool) -> Iterator[steps.OnProgress]:
    """Give a callback that draws one bar a model and step on stderr."""
    if hidden:
        yield steps.ignore
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[tuple[str, str], TaskID] = {}

        def show(told: steps.Progress) -> None:
            key = (told.model, told.step)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{_WORDS[told.step]} {told.model}", total=told.total or None)
            bars.update(tasks[key], completed=told.done)

        yield show


def _done(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        sys.stdout.write("  ".join(f"{key}: {value}" for key, value in row.items()) + "\n")


def _print_json(value: Any) -> None:  # noqa: ANN401  (anything JSON-ready)
    sys.stdout.write(json.dumps(value, indent=1) + "\n")
