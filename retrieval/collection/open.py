"""Opening a collection: checks that it is the one meant, and gives it the engine that its options name."""

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from headrace.contracts.errors import HeadraceError, NotFound, StoreError
from headrace.contracts.retrieval import EmbedderId
from headrace.retrieval.collection import schema
from headrace.retrieval.collection.database import Database
from headrace.retrieval.collection.index import Collection
from headrace.retrieval.collection.reading import Stored
from headrace.retrieval.collection.schema import Meta
from headrace.retrieval.nearest.choice import Kind
from headrace.retrieval.nearest.source import Engine, Source, Sources

DATABASE: Final = "collection.sqlite"

_log = logging.getLogger(__name__)

EngineName = Literal["faiss", "qdrant"]


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How a collection is kept and searched.

    kind: of the FAISS index, None chooses by size. url: of a Qdrant server; None or ":memory:" embeds one.
    wait_s: how long a writer waits for another. rebuild_after, rebuild_share: how many vectors may have changed, at
    least and as a share of all, before the FAISS index is built anew.
    """

    engine: EngineName = "faiss"
    kind: Kind | None = None
    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    wait_s: float = 10.0
    rebuild_after: int = 4096
    rebuild_share: float = 0.2


DEFAULT: Final = IndexOptions()


def open_index(
    folder: Path, embedder: EmbedderId, *, create: bool = False, chunking: str = "", options: IndexOptions = DEFAULT
) -> Collection:
    """Open the collection in a folder, whose name is the collection's.

    create: make it where there is none, otherwise NotFound. StoreError names the command that rebuilds when it was made
    with another embedder, or cut in another way (chunking "" takes what there is).
    """
    name, path = folder.name, folder / DATABASE
    if create:
        _prepare(folder, path)
    elif not path.is_file():
        raise NotFound(f"there is no collection {name!r}; make it with `headrace index add {name} FOLDER`")
    database = Database(path, name=name, wait_s=options.wait_s)
    meta = _create_or_read(database, embedder, chunking) if create else _read(database)
    schema.check(meta, embedder, chunking, name)
    return Collection(database, meta, lambda found: _engine(folder, database, found, options))


def drop_index(folder: Path, options: IndexOptions = DEFAULT) -> None:
    """Remove a collection with all that is kept of it elsewhere; nothing happens where there is none.

    Where a Qdrant server does not answer, its points stay behind, and a warning says so.
    """
    if options.engine == "qdrant" and options.url and (folder / DATABASE).is_file():
        _forget(folder, options)
    doomed = folder.with_name(f"{folder.name}.dropped-{secrets.token_hex(4)}")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise StoreError(f"collection {folder.name!r} cannot be removed: {exc.strerror}") from exc
    shutil.rmtree(doomed, ignore_errors=True)


@contextmanager
def halted(folder: Path, options: IndexOptions = DEFAULT) -> Iterator[None]:
    """Keep every writer of the collection in a folder waiting, so that another may take its place.

    Raises Overloaded where somebody writes for too long. Nothing is kept waiting where there is no collection.
    """
    path = folder / DATABASE
    if not path.is_file():
        yield
        return
    database = Database(path, name=folder.name, wait_s=options.wait_s)
    try:
        with database.exclusive():
            yield
    finally:
        database.close()


def held(folder: Path, options: IndexOptions = DEFAULT) -> frozenset[str]:
    """Return the ids of the documents in a folder's collection, whatever embedder it is for.

    None where there is no collection, and where it is damaged: nobody can have put anything there.
    """
    path = folder / DATABASE
    if not path.is_file():
        return frozenset()
    database = Database(path, name=folder.name, wait_s=options.wait_s)
    try:
        with database.reading() as connection:
            if not schema.exists(connection):
                return frozenset()
            return frozenset(id_ for (id_,) in connection.execute("SELECT id FROM documents"))
    except StoreError as exc:
        _log.warning("what collection %s held is not known: %s", folder.name, exc.message)
        return frozenset()
    finally:
        database.close()


def _forget(folder: Path, options: IndexOptions) -> None:
    database = Database(folder / DATABASE, name=folder.name, wait_s=options.wait_s)
    try:
        engine = _engine(folder, database, _read(database), options)
        engine.forget()
        engine.close()
    except HeadraceError as exc:
        _log.warning("points of collection %s stay behind: %s", folder.name, exc)
    finally:
        database.close()


def _prepare(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as exc:
        raise StoreError(f"collection {folder.name!r} cannot be made in {folder.parent}: {exc.strerror}") from exc


def _read(database: Database) -> Meta:
    with database.reading() as connection:
        return schema.read(connection, database.name)


def _create_or_read(database: Database, embedder: EmbedderId, chunking: str) -> Meta:
    with database.reading() as connection:
        if schema.exists(connection):
            return schema.read(connection, database.name)
    with database.writing() as connection:
        if schema.exists(connection):
            return schema.read(connection, database.name)
        return schema.create(connection, embedder, chunking)


def _engine(folder: Path, database: Database, meta: Meta, options: IndexOptions) -> Engine:
    """Return the engine the options name. Either takes long to import: only who opens such a collection waits."""
    dimensions = meta.embedder.dimensions
    sources = _sources(database, dimensions)
    if options.engine == "qdrant":
        from headrace.retrieval.qdrant.engine import QdrantEngine  # noqa: PLC0415  (an extra, and seconds to import)

        return QdrantEngine(
            folder,
            identity=meta.identity,
            dimensions=dimensions,
            sources=sources,
            url=options.url,
            api_key=options.api_key,
        )
    from headrace.retrieval.nearest.engine import FaissEngine, Rebuilding  # noqa: PLC0415  (a third of a second)

    return FaissEngine(
        folder,
        identity=meta.identity,
        dimensions=dimensions,
        sources=sources,
        rebuilding=Rebuilding(options.kind, options.rebuild_after, options.rebuild_share),
    )


def _sources(database: Database, dimensions: int) -> Sources:
    @contextmanager
    def opened() -> Iterator[Source]:
        with database.reading() as connection:
            yield Stored(connection, dimensions)

    return opened
