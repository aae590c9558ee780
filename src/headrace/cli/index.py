"""`headrace index`: fill collections from files, streams and URLs; list, show, rebuild and remove them."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headrace.cli.filling import Filling, Tally, given_sources, parse_attributes
from headrace.cli.place import TENANT, Place
from headrace.cli.rebuilding import rebuild as put_in_place
from headrace.cli.shelf import LibraryShelf, StagedShelf
from headrace.contracts.errors import InvalidRequest, NotFound, Overloaded
from headrace.contracts.retrieval import DocumentInfo
from headrace.retrieval.chunk.sizes import AUTO, Sizes
from headrace.retrieval.collection.open import drop_index, open_index
from headrace.retrieval.ingest.job import SOURCE
from headrace.retrieval.library.records import StoreRecord

app: Final = typer.Typer(
    help="Fill and look after collections of documents.", no_args_is_help=True, add_completion=False
)
INTERRUPTED: Final = 130

Name = Annotated[str, typer.Argument(help="The collection: its name, or its id (vs_...).")]
Paths = Annotated[list[str], typer.Argument(help="Folders, files, globs, http(s) URLs, or - for the standard input.")]
Documents = Annotated[list[str] | None, typer.Argument(help="Documents by id or name; none removes all of it.")]
Config = Annotated[Path | None, typer.Option(help="The config file; the packaged default if left out.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the embedder; 0 takes what this process may use.")]
Model = Annotated[str | None, typer.Option(help="Embedding model of the model store; the config's if left out.")]
Tokens = Annotated[int, typer.Option(help="Tokens of a passage; brought down to what the embedder reads.")]
Overlap = Annotated[int, typer.Option(help="Tokens that a passage repeats of the one before.")]
Hosts = Annotated[list[str] | None, typer.Option(help="Host, address or network that URLs may lead to; repeatable.")]
Pairs = Annotated[list[str] | None, typer.Option(help="key=value on every document, for filters; repeatable.")]


@app.command()
def add(
    name: Name,
    paths: Paths,
    *,
    glob: Annotated[str | None, typer.Option(help="Of folders only these: '*.md', 'guide/**/*.html'.")] = None,
    stdin_name: Annotated[
        str, typer.Option("--name", help="Name of what comes from the standard input.")
    ] = "stdin.txt",
    allow_host: Hosts = None,
    chunk_tokens: Tokens = AUTO.max_tokens,
    overlap: Overlap = AUTO.overlap,
    attribute: Pairs = None,
    embedder: Model = None,
    threads: Threads = 0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Bring a collection up to date with its sources: new and changed documents in, gone ones out."""
    attributes, sizes = parse_attributes(attribute or []), Sizes(chunk_tokens, overlap)
    place = Place.of(config, embedder)
    sources = given_sources(paths, glob, stdin_name, allow_host or [])
    store = place.find(name) or place.library.stores.create(TENANT, _checked(name))
    with _alone(place, store), place.index(store.id, create=True) as index:
        filling = Filling(place.folder, LibraryShelf(place, store.id, index, sizes), sizes, attributes, threads)
        with _interruptible():
            tally = filling.run(sources, is_quiet=as_json)
    _end(store, tally, as_json=as_json)


@app.command("list")
def list_collections(*, config: Config = None, as_json: Json = False) -> None:
    """List the collections."""
    rows = [
        {"name": store.name, "id": store.id, "files": store.counts.completed, "waiting": store.counts.in_progress,
         "failed": store.counts.failed, "bytes": store.bytes}
        for store in Place.of(config).stores()
    ]  # fmt: skip
    _show(rows, as_json=as_json, empty="no collections; make one with: headrace index add NAME PATH")


@app.command()
def show(name: Name, *, config: Config = None, as_json: Json = False) -> None:
    """Show the documents of a collection."""
    place = Place.of(config)
    store = place.store(name)
    indexed = _indexed(place, store)
    rows: list[dict[str, Any]] = []
    for member in place.members(store.id):
        info = indexed.get(member.file)
        file = place.library.files.get(TENANT, member.file)
        row: dict[str, Any] = {"id": file.id, "name": info.name if info else file.name, "status": member.status}
        row |= {"passages": info.chunks if info else 0, "bytes": member.bytes}
        if as_json:
            error = member.error.message if member.error else None
            row |= {"attributes": dict(member.attributes), "error": error}
        rows.append(row)
    _show(rows, as_json=as_json, empty=f"{name} holds no documents")


@app.command()
def remove(name: Name, documents: Documents = None, *, config: Config = None, as_json: Json = False) -> None:
    """Remove documents, or a whole collection with the files that `index add` brought into it."""
    place = Place.of(config)
    store = place.store(name)
    with _alone(place, store):
        removed = _remove_some(place, store, documents) if documents else _remove_all(place, store)
    _show([{"removed": one} for one in removed], as_json=as_json, empty=f"{name} is removed")


@app.command()
def rebuild(
    name: Name,
    *,
    chunk_tokens: Tokens = AUTO.max_tokens,
    overlap: Overlap = AUTO.overlap,
    embedder: Model = None,
    threads: Threads = 0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Cut and embed all documents anew from the files that are kept; where one fails, all stays as it was."""
    place, sizes = Place.of(config, embedder), Sizes(chunk_tokens, overlap)
    store = place.store(name)
    with _alone(place, store):
        staged = place.library.collection(f"{store.id}.new")
        drop_index(staged, place.options)
        index = open_index(staged, place.embedder, create=True, options=place.options)
        try:
            with _interruptible():
                filling = Filling(place.folder, StagedShelf(index), sizes, {}, threads)
                tally = put_in_place(place, store.id, index, lambda source: filling.run([source], is_quiet=as_json))
        finally:
            index.close()
    _end(store, tally, as_json=as_json)


@contextmanager
def _alone(place: Place, store: StoreRecord) -> Iterator[None]:
    """Keep other commands from changing the collection meanwhile."""
    folder = place.library.collection(store.id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0):
            yield
    except Timeout as exc:
        raise Overloaded(f"another command is changing {store.name!r}; run this again when it has ended") from exc


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as exc:
        sys.stderr.write("headrace index: stopped; what is in stays, the same command goes on\n")
        raise typer.Exit(INTERRUPTED) from exc


def _checked(name: str) -> str:
    if not name.strip() or not name.isprintable() or name.startswith("-"):
        raise InvalidRequest(f"{name!r} is no name for a collection; use letters, digits and dashes")
    return name


def _indexed(place: Place, store: StoreRecord) -> Mapping[str, DocumentInfo]:
    """Return what the index tells of its documents, by id; nothing where there is no index yet."""
    try:
        with place.index(store.id) as index:
            return {info.id: info for info in index.documents()}
    except NotFound:
        return {}


def _remove_some(place: Place, store: StoreRecord, documents: Sequence[str]) -> list[str]:
    """Remove documents by id or name and return their names; NotFound before anything is removed."""
    with place.index(store.id) as index:
        infos = list(index.documents())
        chosen = [info for info in infos if info.id in documents or info.name in documents]
        unknown = set(documents) - {word for info in chosen for word in (info.id, info.name)}
        if unknown:
            raise NotFound(f"{store.name!r} has no document {min(unknown)!r}; `headrace index show` tells all")
        shelf = LibraryShelf(place, store.id, index, AUTO)
        for info in chosen:
            shelf.remove(info.id)
    return [info.name for info in chosen]


def _remove_all(place: Place, store: StoreRecord) -> list[str]:
    """Remove a collection; files that came by upload, or are in another collection too, stay."""
    own = [member.file for member in place.members(store.id) if SOURCE in member.attributes]
    place.library.stores.leave(TENANT, store.id)
    place.drop(store.id)
    place.library.stores.gone(store.id)
    for file in own:
        place.library.files.leave(TENANT, file)
        place.library.files.gone(file)
    return [store.name]


def _end(store: StoreRecord, tally: Tally, *, as_json: bool) -> None:
    """Print what became of an ingest; exit code 1 where a document failed, the others being in."""
    told = tally.as_object()
    if as_json:
        sys.stdout.write(json.dumps({"collection": store.name, "id": store.id, **told}, indent=1) + "\n")
    else:
        counts = ", ".join(f"{told[word]} {word}" for word in ("added", "replaced", "unchanged", "removed"))
        rate = f"{tally.chunks} passages in {tally.seconds:.1f} s"
        sys.stdout.write(f"{store.name} ({store.id}): {counts}, {len(tally.failed)} failed; {rate}\n")
        for failure in tally.failed:
            sys.stderr.write(f"  {failure.name}: {failure.reason} ({failure.code})\n")
    if tally.failed:
        raise typer.Exit(1)


def _show(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    elif not rows:
        sys.stdout.write(f"{empty}\n")
    else:
        table = Table()
        for column in rows[0]:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(value)) for value in row.values()))
        Console().print(table)
