"""Runs the pinned pip of the gateway environment on another environment and tells what it is doing as it does it."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from headrace.contracts.errors import SetupError
from headrace.setup.display import megabytes

NOT_THERE: Final = "No matching distribution found"
_PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")
_DOWNLOADING: Final = re.compile(r"\s*Downloading (\S+?)(?:\.metadata)? \(")
_PROCESSING: Final = re.compile(r"Processing (\S+)")
_CURES: Final = (
    ("No space left on device", "the disk is full; free some and run the same command again"),
    (
        "DO NOT MATCH THE HASHES",
        "a package is not the one that was locked; it was not installed. Check the package index",
    ),
    (NOT_THERE, "the package index does not have it; check `pip config list` and PIP_INDEX_URL"),
    ("NewConnectionError", "the package index cannot be reached; check the network, proxy and PIP_INDEX_URL"),
    ("ConnectTimeout", "the package index does not answer; check the network, proxy and PIP_INDEX_URL"),
    ("CERTIFICATE_VERIFY_FAILED", "the package index's certificate is not trusted; set PIP_CERT to your CA bundle"),
)

Report = Callable[[str, int, int], None]


class Install(Protocol):
    """The shape of `install`, so that what builds environments can be tried without one."""

    def __call__(self, python: Path, arguments: Sequence[str], *, total: int, log: Path, report: Report) -> None:
        """Install into the environment of `python`."""
        ...


@dataclass(slots=True)
class Reading:
    """What pip's lines have said so far: packages seen, the file in hand, whether the download phase is over."""

    packages: int = 0
    file: str = ""
    is_installing: bool = False
    received: int = 0
    size: int = 0

    def take(self, line: str) -> bool:
        """Read one line; True when there is something new to show."""
        if match := _PROGRESS.match(line):
            self.received, self.size = int(match[1]), int(match[2])
            return True
        if match := _DOWNLOADING.match(line) or _PROCESSING.match(line):
            self.packages += 1
            self.file = match[1].rsplit("/", 1)[-1].split("-", 1)[0]
            self.received = self.size = 0
            return True
        if line.startswith("Installing collected packages"):
            self.is_installing = True
            return True
        return False

    def detail(self, total: int) -> str:
        """Say it in words."""
        if self.is_installing:
            return f"unpacking {total} packages"
        size = f" {megabytes(self.received, self.size)}" if self.size else ""
        return f"package {min(self.packages, total)} of {total}: {self.file}{size}"


def install(python: Path, arguments: Sequence[str], *, total: int, log: Path, report: Report) -> None:
    """Install into the environment of `python`; every line goes to the log, progress to `report`.

    report(detail, done, total) counts packages. SetupError carries pip's own error, its cure and the log.
    """
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-input", "--progress-bar", "raw"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a") as sink,
        subprocess.Popen(  # noqa: S603  (our own interpreter and a committed lock)
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            tail = _follow(process.stdout or (), sink.write, total, report)
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    if status != 0:
        raise SetupError(_explain(tail, status, log))


def locked(lock: Path) -> int:
    """Count the packages of a lock file."""
    return sum(1 for line in lock.read_text().splitlines() if "==" in line and not line.startswith((" ", "#")))


def drop_half_installed(site_packages: Path) -> list[str]:
    """Forget packages whose install was interrupted: pip writes RECORD last, and takes one without it for complete."""
    dropped = []
    for folder in site_packages.glob("*.dist-info"):
        if not (folder / "RECORD").exists():
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            folder.rmdir()
            dropped.append(folder.name)
    return dropped


def _follow(lines: Iterable[str], write: Callable[[str], object], total: int, report: Report) -> list[str]:
    reading, tail = Reading(), list[str]()
    for line in lines:
        if not _PROGRESS.match(line):
            write(line)
            tail = [*tail[-40:], line.strip()]
        if reading.take(line):
            report(reading.detail(total), min(reading.packages, total), 0 if reading.is_installing else total)
    return tail


def _explain(tail: Sequence[str], status: int, log: Path) -> str:
    errors = [line for line in tail if line.startswith("ERROR:")] or [line for line in tail if line]
    said = errors[-1].removeprefix("ERROR:").strip() if errors else f"exit status {status}"
    text = "\n".join(tail)
    cure = next(
        (cure for sign, cure in _CURES if sign in text), "what is installed is kept; run the same command again"
    )
    return f"pip failed: {said}; {cure} (log: {log})"
