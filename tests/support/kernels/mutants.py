"""Kernels with one thing broken each, and the tests that must notice: applied to a copy of the tree, run there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
COPIED: Final = ("kernels", "tests/kernels", "tests/support", "src", "pyproject.toml", "tests/conftest.py")
ALL_PASSED: Final = 0
SOME_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break: `old`, which stands once in `file` (relative to the root), becomes `new`; `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problems(self, root: Path = ROOT) -> list[str]:
        """Return why this is no mutant: its text is not there once, changes nothing, or its tests do not exist."""
        source = root / self.file
        if not source.is_file():
            return [f"{self.name}: no file {self.file}"]
        found = []
        times = source.read_text(encoding="utf-8").count(self.old) if self.old else 0
        if times != 1:
            found.append(f"{self.name}: the old text stands {times} times in {self.file}; wanted once")
        if self.old == self.new:
            found.append(f"{self.name}: old and new are the same")
        if not self.tests:
            found.append(f"{self.name}: names no test")
        named = [test.split("::", maxsplit=1)[0] for test in self.tests]
        found.extend(f"{self.name}: no test {test}" for test in named if not (root / test).exists())
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """How pytest ended: its code and the end of what it printed."""

    code: int
    tail: str


def all_mutants(root: Path = ROOT) -> list[Mutant]:
    """Return the mutants of every `mutants.json` below tests/kernels."""
    found = []
    for path in sorted((root / "tests" / "kernels").rglob("mutants.json")):
        entries = json.loads(path.read_text(encoding="utf-8"))
        found.extend(Mutant(**entry | {"tests": tuple(entry["tests"])}) for entry in entries)
    return found


def copy_tree(folder: Path, root: Path = ROOT) -> Path:
    """Copy what the kernels' tests need into `folder`, links as links, and return it."""
    for name in COPIED:
        source, target = root / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        elif source.is_file():
            shutil.copy2(source, target)
    return folder


def apply(mutant: Mutant, folder: Path) -> None:
    """Break one thing in a copy. Raises ValueError in the tree itself, or where the mutant does not fit."""
    if folder.resolve() == ROOT.resolve():
        raise ValueError(f"{mutant.name}: {folder} is the tree itself; apply mutants to a copy")
    wrong = mutant.problems(folder)
    if wrong:
        raise ValueError("; ".join(wrong))
    source = folder / mutant.file
    source.write_text(source.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")


def revert(mutant: Mutant, folder: Path) -> None:
    """Put the file back."""
    shutil.copy2(ROOT / mutant.file, folder / mutant.file)


def run(tests: Sequence[str], folder: Path, *, timeout_s: float = 600) -> Outcome:
    """Run tests of a copy against the kernels of that copy, and stop at the first that fails."""
    environment = os.environ | {
        "PYTHONPATH": str(folder / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "-m",
            "full or not full",
            *tests,
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Outcome(done.returncode, (done.stdout + done.stderr)[-3000:])
