"""The engine environment, .venv-engine: built in steps from committed locks, each done once and kept.

It holds vLLM and torch, which the gateway's environment never does. See docs/decisions/0002.
"""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.contracts.errors import SetupError
from headrace.setup import pip

CPU_TORCH_INDEX: Final = "https://download.pytorch.org/whl/cpu"
FOLDER: Final = ".venv-engine"


@dataclass(frozen=True, slots=True)
class Step:
    """One pip run. `fallback` is tried when the configured index has no such package at all."""

    name: str
    arguments: tuple[str, ...]
    key: str
    packages: int
    fallback: tuple[str, ...] = ()


def engine_python(repository: Path) -> Path:
    """Return the interpreter of the engine environment, built or not."""
    return repository / FOLDER / "bin" / "python"


def steps(repository: Path, *, has_gpu: bool) -> tuple[Step, ...]:
    """Say what the environment is built from, in order."""
    requirements = repository / "requirements"
    own = Step(
        name="headrace",
        arguments=("--no-deps", "--no-build-isolation", "--editable", str(repository)),
        key=_digest(repository / "pyproject.toml"),
        packages=1,
    )
    if has_gpu:
        return (_locked("vllm", requirements / "engine-cuda.lock"), own)
    torch = _locked("torch", requirements / "engine-torch.lock", fallback=("--index-url", CPU_TORCH_INDEX))
    return (torch, _locked("vllm", requirements / "engine.lock"), own)


def missing(repository: Path, *, has_gpu: bool) -> list[Step]:
    """Return the steps that are still to be done."""
    marks = repository / FOLDER / ".built"
    planned = steps(repository, has_gpu=has_gpu)
    done = [_mark(marks, step).exists() for step in planned]
    return [step for step, is_done in zip(planned, done, strict=True) if not is_done]


def build(
    repository: Path, *, has_gpu: bool, log: Path, report: pip.Report, install: pip.Install = pip.install
) -> None:
    """Do what is missing. An interrupted step is taken up where it stopped: pip skips what is already there."""
    folder = repository / FOLDER
    python = engine_python(repository)
    marks = folder / ".built"
    for step in missing(repository, has_gpu=has_gpu):
        if not python.exists():
            report("creating the environment", 0, 0)
            _create(folder)
        for site_packages in folder.glob("lib/python*/site-packages"):
            pip.drop_half_installed(site_packages)
        try:
            install(python, step.arguments, total=step.packages, log=log, report=report)
        except SetupError as exc:
            if not step.fallback or pip.NOT_THERE not in exc.message:
                raise
            install(python, (*step.fallback, *step.arguments), total=step.packages, log=log, report=report)
        marks.mkdir(exist_ok=True)
        for old in marks.glob(f"{step.name}-*"):
            old.unlink()
        _mark(marks, step).touch()


def _create(folder: Path) -> None:
    # Without pip: the pinned pip of the gateway's environment installs into this one.
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (our own interpreter)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise SetupError(f"cannot create {folder}: {said[-1] if said else 'no reason given'}; remove it and run again")


def _locked(name: str, lock: Path, fallback: tuple[str, ...] = ()) -> Step:
    return Step(
        name=name,
        arguments=("--no-deps", "--require-hashes", "-r", str(lock)),
        key=_digest(lock),
        packages=pip.locked(lock),
        fallback=fallback,
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _mark(marks: Path, step: Step) -> Path:
    return marks / f"{step.name}-{step.key}"
