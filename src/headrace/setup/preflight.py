"""Does this machine have what setup needs? Measured first, judged purely, said in one line with the cure.

Memory is judged where it is divided: models/backends/resources.py.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.contracts.errors import SetupError

GIB: Final = 1 << 30
LOCKED_PYTHON: Final = (3, 11)
ENVIRONMENT_BYTES: Final = 6 * GIB  # .venv-engine with its pyc files, and pip's cache of the wheels
COMPILERS: Final = ("c++", "g++", "clang++")


@dataclass(frozen=True, slots=True)
class Host:
    """What was measured. Disk bytes are free bytes where the environments and the model store lie."""

    python: tuple[int, int]
    environment_disk_bytes: int
    store_disk_bytes: int
    shares_disk: bool
    has_compiler: bool
    has_gpu: bool


@dataclass(frozen=True, slots=True)
class Needs:
    """What is still to be built and fetched. Zero means nothing of the kind."""

    environment_bytes: int
    store_bytes: int
    compiles: bool


def measure(repository: Path, home: Path) -> Host:
    """Look at the machine."""
    home.mkdir(parents=True, exist_ok=True)
    return Host(
        python=(sys.version_info.major, sys.version_info.minor),
        environment_disk_bytes=shutil.disk_usage(repository).free,
        store_disk_bytes=shutil.disk_usage(home).free,
        shares_disk=os.stat(repository).st_dev == os.stat(home).st_dev,  # noqa: PTH116  (the device, not the path)
        has_compiler=any(shutil.which(name) for name in COMPILERS),
        has_gpu=has_gpu(),
    )


def has_gpu() -> bool:
    """Tell whether an NVIDIA driver is at work here."""
    return Path("/dev/nvidiactl").exists()


def judge(host: Host, needs: Needs) -> list[str]:
    """Return warnings; SetupError for what cannot work."""
    if needs.environment_bytes and host.python != LOCKED_PYTHON:
        wanted, found = (".".join(map(str, version)) for version in (LOCKED_PYTHON, host.python))
        raise SetupError(
            f"the locks are for Python {wanted}, this is {found}; run: make clean && make PYTHON=python{wanted} serve"
        )
    _judge_disk(host, needs)
    if needs.compiles and not host.has_compiler:
        raise SetupError(
            "no C++ compiler for compiled engines: install g++ (Debian: apt-get install g++), or set `eager: true`"
        )
    if not host.has_compiler:
        return ["no C++ compiler found: engines run eager, which is the default and needs none"]
    return []


def _judge_disk(host: Host, needs: Needs) -> None:
    environment, store = needs.environment_bytes, needs.store_bytes
    if host.shares_disk:
        environment, store = environment + store, 0
    for needed, free, what, cure in (
        (environment, host.environment_disk_bytes, "for the engine environment and models", "free some"),
        (store, host.store_disk_bytes, "for the models", "free some, or point HEADRACE_HOME at a larger disk"),
    ):
        if free < needed:
            raise SetupError(f"{_gib(free)} of disk is free, {_gib(needed)} is needed {what}; {cure}")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
