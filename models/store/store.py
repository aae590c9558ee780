"""Folders by content: `sha256/<digest>/` holds files, `sha256/<digest>.json` their hashes, `models/<id>` points there.

Publishing is one rename and one symlink swap, so that another process sees a whole model or none. Locks are files.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs
from filelock import FileLock, Timeout

from headrace.contracts.errors import StoreError
from headrace.models.store.files import disk_errors, sha256_of, sync_folder, whole_file
from headrace.models.store.progress import OnProgress, Progress, StepName, ignore

HOME_VARIABLE: Final = "HEADRACE_HOME"
_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_LOCK_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One published model. facts: what its maker found worth keeping (form, parameters, figures)."""

    id: str
    path: Path
    digest: str
    size_bytes: int
    facts: Mapping[str, Any]


def default_home() -> Path:
    """Return $HEADRACE_HOME, or the user's cache folder."""
    stated = os.environ.get(HOME_VARIABLE)
    return Path(stated).expanduser() if stated else Path(platformdirs.user_cache_dir("headrace"))


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Store:
    """The models on this machine. Safe to use from several threads and processes at once."""

    def __init__(self, home: Path | None = None, *, free_bytes: Callable[[Path], int] = _free_bytes) -> None:
        self.home = (home or default_home()).resolve()
        self._free_bytes = free_bytes

    def has(self, model_id: str) -> bool:
        """Tell whether a published folder of this name is here."""
        return self._link(model_id).is_dir()

    def path(self, model_id: str) -> Path:
        """Return the ready-to-serve folder; StoreError with the cure when it is absent."""
        link = self._link(model_id)
        if not link.is_dir():
            raise StoreError(f"model {model_id!r} is not in {self.home}; run: headrace models import {model_id}")
        return link.resolve()

    def installed(self) -> tuple[StoredModel, ...]:
        """Return every published model, by id; a folder that another tool put there has no hashes and is left out."""
        shelf = self.home / "sha256"
        links = sorted((self.home / "models").glob("[!.]*")) if (self.home / "models").is_dir() else []
        published = [link for link in links if link.is_dir() and link.resolve().parent == shelf]
        return tuple(self.describe(link.name) for link in published)

    def describe(self, model_id: str) -> StoredModel:
        """Return what was written down when a model was published."""
        folder = self.path(model_id)
        manifest = self._manifest(folder)
        files: dict[str, dict[str, Any]] = manifest["files"]
        size = sum(int(entry["bytes"]) for entry in files.values())
        return StoredModel(model_id, folder, folder.name, size, manifest["facts"])

    def publish(self, model_id: str, staged: Path, *, facts: Mapping[str, Any], on_progress: OnProgress) -> Path:
        """Hash a staged folder, move it under its digest and point the name at it. The staged folder is gone after."""
        names = sorted(path.name for path in staged.iterdir())
        total = sum((staged / name).stat().st_size for name in names)
        counter = ByteCounter(model_id, "publish", total, on_progress)
        files = {
            name: {"sha256": sha256_of(staged / name, counter.add), "bytes": (staged / name).stat().st_size}
            for name in names
        }
        digest = tree_digest({name: str(entry["sha256"]) for name, entry in files.items()})
        shelf = self._folder("sha256")
        folder = shelf / digest
        with disk_errors(folder):
            for name in names:
                _sync_file(staged / name)
            with whole_file(shelf / f"{digest}.json") as handle:
                handle.write(json.dumps({"files": files, "facts": dict(facts)}, indent=1).encode())
            if folder.exists():
                shutil.rmtree(staged)
            else:
                sync_folder(staged)
                staged.rename(folder)
                sync_folder(shelf)
            self._point(model_id, digest)
        return folder

    def verify(self, model_id: str, on_progress: OnProgress = ignore) -> StoredModel:
        """Hash every file again; StoreError names the first that differs, is missing or is too many."""
        stored = self.describe(model_id)
        files: dict[str, dict[str, Any]] = self._manifest(stored.path)["files"]
        cure = f"run: headrace models rm {model_id} && headrace models import {model_id}"
        present = {path.name for path in stored.path.iterdir()}
        for name in sorted(present ^ set(files)):
            raise StoreError(f"{model_id}: {name} is {'unknown' if name in present else 'missing'}; {cure}")
        counter = ByteCounter(model_id, "publish", stored.size_bytes, on_progress)
        for name, entry in files.items():
            found = sha256_of(stored.path / name, counter.add)
            if found != entry["sha256"]:
                raise StoreError(f"{model_id}: {name} has sha256 {found[:12]}…, not {entry['sha256'][:12]}…; {cure}")
        return stored

    def remove(self, model_id: str) -> int:
        """Remove a model and return the bytes it freed; files that another name still needs stay."""
        with self.lock(model_id):
            stored = self.describe(model_id)
            self._link(model_id).unlink()
            if any(other.digest == stored.digest for other in self.installed()):
                return 0
            shutil.rmtree(stored.path)
            (self.home / "sha256" / f"{stored.digest}.json").unlink()
        return stored.size_bytes

    @contextmanager
    def lock(self, name: str, on_progress: OnProgress = ignore) -> Iterator[None]:
        """Hold the machine-wide lock of a name; while another process has it, `on_progress` is told each second."""
        lock = FileLock(self._folder("locks") / f"{_checked(name)}.lock")
        waited = 0
        while True:
            try:
                lock.acquire(timeout=_LOCK_POLL_S)
                break
            except Timeout:
                waited += 1
                on_progress(Progress(name, "wait", waited, 0))
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Give an empty folder on the store's own disk, removed afterwards. Hold the lock of `name` meanwhile."""
        folder = self._folder("scratch") / _checked(name)
        shutil.rmtree(folder, ignore_errors=True)
        with disk_errors(folder):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def parts_folder(self, wheel_sha256: str) -> Path:
        """Return where the finished members of a wheel wait for the others."""
        return self._folder("parts") / wheel_sha256

    def log_path(self, name: str) -> Path:
        """Return the log file of a step."""
        return self._folder("logs") / f"{_checked(name)}.log"

    def require_space(self, needed_bytes: int, purpose: str) -> None:
        """Raise StoreError with both numbers when the disk has less room than a step needs."""
        free = self._free_bytes(self._folder())
        if free < needed_bytes:
            raise StoreError(
                f"{purpose} needs {needed_bytes / 1e9:.1f} GB and the disk of {self.home} has {free / 1e9:.1f} GB; "
                f"free some space or set {HOME_VARIABLE} to a larger disk"
            )

    def _folder(self, name: str = "") -> Path:
        folder = self.home / name
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _link(self, model_id: str) -> Path:
        return self.home / "models" / _checked(model_id)

    def _point(self, model_id: str, digest: str) -> None:
        links = self._folder("models")
        fresh = links / f".{model_id}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("..") / "sha256" / digest)
        fresh.replace(links / model_id)
        sync_folder(links)

    def _manifest(self, folder: Path) -> dict[str, Any]:
        path = self.home / "sha256" / f"{folder.name}.json"
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise StoreError(f"{path} cannot be read ({exc}); remove {folder} and import the model again") from exc
        return manifest


class ByteCounter:
    """Sums bytes of one step into progress. Not safe to share between threads."""

    def __init__(self, model: str, step: StepName, total: int, on_progress: OnProgress) -> None:
        self._told = Progress(model, step, 0, total)
        self._on_progress = on_progress

    def add(self, count: int) -> None:
        """Count bytes that are done."""
        told = self._told
        self._told = Progress(told.model, told.step, told.done + count, told.total)
        self._on_progress(self._told)


def tree_digest(files: Mapping[str, str]) -> str:
    """Return the digest of a folder: sha256 over its sorted `hash  name` lines."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _checked(name: str) -> str:
    if not name or name.startswith(".") or set(name) - _NAME_CHARACTERS:
        raise StoreError(f"{name!r} is no model name (lower-case letters, digits, dot, dash, underscore)")
    return name


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
