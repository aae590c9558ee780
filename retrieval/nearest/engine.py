"""The nearest vectors by FAISS: a built index, the vectors that came since, and the ids that went since.

What a search sees is one immutable View, replaced as a whole, so nothing is locked while searching. Once much has
changed, a thread builds the index anew, saves it and replaces the View. A view of nothing is caught up like any other,
so a lost or damaged index costs time and memory until it is built again, never an answer.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import faiss
import numpy as np
from filelock import FileLock, Timeout

from headrace.contracts.errors import HeadraceError
from headrace.retrieval.nearest import kinds, ranges, snapshot
from headrace.retrieval.nearest.choice import Kind, suited
from headrace.retrieval.nearest.snapshot import Base, Manifest
from headrace.retrieval.nearest.source import START, Found, Ids, Mark, Ranges, Source, Sources, Vector
from headrace.retrieval.nearest.tail import Tail, best_of

# Under so many passing vectors, comparing all of them is quicker and finds all.
EXACT_UNDER: Final = 10_000
# An inexact index is asked for more than wanted, to be scored anew.
MORE: Final = 2
# The list of changes is bounded; an index must be newer than its oldest entry.
MOST_CHANGES_BEHIND: Final = 50_000
WAIT_S: Final = 0.2
ANY_ID: Final = 2**63 - 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """When the index is built anew: `kind` None chooses by count; after so many changed vectors, or this share."""

    kind: Kind | None = None
    after: int = 4096
    share: float = 0.2


@dataclass(frozen=True, slots=True)
class View:
    """The vectors at one place in the changes. dead: ids in base that went since, ascending. last_id: ever seen."""

    mark: Mark
    last_id: int
    base: Base | None
    dead: Ids
    tail: Tail

    @classmethod
    def of(cls, base: Base | None, dimensions: int) -> "View":
        """Return what a built index alone holds, or nothing."""
        mark, last_id = (base.manifest.mark, base.manifest.last_id) if base else (START, 0)
        return cls(mark, last_id, base, np.empty(0, dtype=np.int64), Tail.empty(dimensions))


class FaissEngine:
    """Implements Engine. folder: where the index is kept; identity: the collection's; sources: opens its vectors."""

    def __init__(
        self, folder: Path, *, identity: str, dimensions: int, sources: Sources, rebuilding: Rebuilding
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._dimensions = dimensions
        self._sources = sources
        self._rebuilding = rebuilding
        self._view: View | None = None
        self._applying = threading.Lock()
        self._builder: threading.Thread | None = None
        self._retry_at = 0
        self._is_closed = False

    def follow(self, source: Source) -> None:
        """Take up what changed; starts building anew, elsewhere, where that is due."""
        self._caught_up(source)

    def search(self, source: Source, vector: Vector, k: int, within: Ranges | None) -> Found:
        """Follow, then return the ids and cosines of the k nearest, best first; within: only of these ids."""
        view = self._caught_up(source)
        if within is not None:
            within = ranges.merged(within)
        return best_of(k, view.tail.search(vector, k, within), _in_base(view, source, vector, k, within))

    def settle(self) -> None:
        """Build, save and take up the index now, of whatever kind suits."""
        self._rebuild(is_forced=True)

    def forget(self) -> None:
        """Remove what is kept outside the collection's folder: nothing is."""

    def close(self) -> None:
        """Stop building and give everything back."""
        self._is_closed = True
        builder = self._builder
        if builder is not None:
            builder.join()
        self._view = None

    def _caught_up(self, source: Source) -> View:
        newest, view = source.newest(), self._view
        if view is not None and view.mark == newest:
            return view
        with self._applying:
            view = self._view or View.of(self._loaded(source), self._dimensions)
            if view.mark != newest and not self._is_ahead(view, newest):
                if not source.follows(view.mark):
                    view = View.of(self._loaded(source), self._dimensions)
                view = advance(view, source, newest)
            self._view = view
        self._build_when_due(view)
        return view

    def _is_ahead(self, view: View, newest: Mark) -> bool:
        """Tell whether another thread has followed a later source than the one whose newest change this is.

        A database that was restored from a backup is behind the view too, but does not know the view's place.
        """
        if view.mark.seq < newest.seq:
            return False
        with self._sources() as current:
            return current.follows(view.mark)

    def _loaded(self, source: Source) -> Base | None:
        manifest = snapshot.read_manifest(self._folder, self._identity)
        while manifest is not None:
            if not source.follows(manifest.mark):
                _log.warning("index of collection %s is of another history; built anew", self._folder.name)
                return None
            base = snapshot.load(self._folder, manifest)
            again = None if base else snapshot.read_manifest(self._folder, self._identity)
            if again is None or again == manifest:
                return base
            manifest = again
        return None

    def _build_when_due(self, view: View) -> None:
        changed = view.tail.count + len(view.dead)
        built = view.base.manifest.count if view.base else 0
        behind = view.mark.seq - (view.base.manifest.mark.seq if view.base else 0)
        is_old = behind >= MOST_CHANGES_BEHIND and changed >= self._rebuilding.after
        is_due = changed >= max(self._rebuilding.after, self._rebuilding.share * built)
        if not (is_due or is_old) or changed < self._retry_at:
            return
        with self._applying:
            if self._is_closed or (self._builder is not None and self._builder.is_alive()):
                return
            self._builder = threading.Thread(target=self._build, args=(changed,), name=f"index {self._folder.name}")
            self._builder.start()

    def _build(self, changed: int) -> None:
        try:
            self._rebuild(is_forced=False)
            self._retry_at = 0
        except (HeadraceError, OSError, RuntimeError, MemoryError) as exc:
            self._retry_at = 2 * changed
            _log.warning("index of collection %s was not built: %s", self._folder.name, exc)

    def _rebuild(self, *, is_forced: bool) -> None:
        with self._turn() as has_turn:
            if not has_turn:
                return
            with self._sources() as source:
                base = None if is_forced else self._from_elsewhere(source)
                base = base or self._built(source)
            if base is None:
                return
            with self._sources() as source, self._applying:
                self._view = advance(View.of(base, self._dimensions), source, source.newest())
            snapshot.sweep(self._folder, base.manifest.generation)

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Wait until no other process builds this index; False when it is closed before."""
        lock = FileLock(self._folder / "rebuild.lock", thread_local=False)
        while not self._should_stop():
            try:
                lock.acquire(timeout=WAIT_S)
            except Timeout:
                continue
            except OSError:
                # A read-only folder: nobody else builds there either.
                pass
            try:
                yield True
            finally:
                lock.release()
            return
        yield False

    def _from_elsewhere(self, source: Source) -> Base | None:
        """Return what another process has built meanwhile, if it is newer than what this one has."""
        manifest = snapshot.read_manifest(self._folder, self._identity)
        view = self._view
        own = view.base.manifest.generation if view and view.base else 0
        if manifest is None or manifest.generation <= own or not source.follows(manifest.mark):
            return None
        behind = source.newest().seq - manifest.mark.seq
        return snapshot.load(self._folder, manifest) if behind < self._rebuilding.after else None

    def _built(self, source: Source) -> Base | None:
        count = source.count()
        kind = suited(count, self._rebuilding.kind)
        faiss.omp_set_num_threads(max(1, (os.cpu_count() or 1) // 2))
        index = kinds.empty(kind, count, self._dimensions)
        for _ in kinds.fill(index, source):
            if self._should_stop():
                return None
        manifest = Manifest(
            format=snapshot.FORMAT,
            identity=self._identity,
            generation=snapshot.newest_generation(self._folder) + 1,
            sha256="",
            bytes=0,
            mark=source.newest(),
            last_id=source.last_id(),
            kind=kind,
            count=count,
            dimensions=self._dimensions,
        )
        try:
            manifest = snapshot.save(self._folder, index, manifest)
        except (OSError, RuntimeError) as exc:
            _log.warning("index of collection %s stays in memory, it was not saved: %s", self._folder.name, exc)
            return Base(index, manifest)
        return snapshot.load(self._folder, manifest) or Base(index, manifest)

    def _should_stop(self) -> bool:
        return self._is_closed or not threading.main_thread().is_alive()


def advance(view: View, source: Source, newest: Mark) -> View:
    """Return the view with everything that the source has seen since."""
    removed = [
        (change.first, change.last)
        for change in source.changes(view.mark)
        if change.kind == "remove" and change.first <= view.last_id
    ]
    gone = ranges.merged(np.array(removed, dtype=np.int64).reshape(-1, 2))
    tail, last_id, dead = view.tail.without(gone), view.last_id, view.dead
    if view.base is not None:
        dead = np.union1d(dead, ranges.spelled(ranges.until(gone, view.base.manifest.last_id)))
    for ids, vectors in source.batches(kinds.BATCH, after=view.last_id):
        tail, last_id = tail.longer(ids, vectors), int(ids[-1])
    return replace(view, mark=newest, last_id=last_id, dead=dead, tail=tail)


def _in_base(view: View, source: Source, vector: Vector, k: int, within: Ranges | None) -> Found:
    base, dead = view.base, view.dead
    if base is None or base.manifest.count == len(dead):
        return []
    is_exact = base.manifest.kind == "flat"
    selector, share = None, 1.0
    if within is not None:
        within = ranges.until(within, base.manifest.last_id)
        passing = ranges.size(within)
        if passing == 0:
            return []
        if not is_exact and passing <= EXACT_UNDER:
            return _scored(source.within(within), vector)
        selector, share = kinds.within(within, base.manifest.last_id), passing / base.manifest.count
    elif len(dead):
        selector, share = kinds.without(dead), 1.0 - len(dead) / base.manifest.count
    faiss.omp_set_num_threads(1)
    ids, scores = kinds.search(base.index, vector, k if is_exact else MORE * k, selector, share)
    return list(zip(ids.tolist(), scores.tolist(), strict=True)) if is_exact else _scored(source.these(ids), vector)


def _scored(rows: tuple[Ids, Vector], vector: Vector) -> Found:
    ids, vectors = rows
    return list(zip(ids.tolist(), (vectors @ vector).tolist(), strict=True))
