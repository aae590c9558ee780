"""Kernels with one thing broken each, and the tests that must notice: applied to a copy of the tree, run there."""

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
COPIED: Final = ("kernels", "tests/kernels", "tests/support", "src", "pyproject.toml", "tests/conftest.py")
ALL_PASSED: Final = 0
SOME_FAILED: Final = 1
KILLED: Final = -9
PRELOADED: Final = (
    "pytest", "pytest_asyncio.plugin", "hypothesis.extra._patching", "hypothesis.strategies", "torch", "torch._dynamo",
    "torch.testing", "triton.language", "triton.runtime.interpreter",
)  # fmt: skip


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
    with tempfile.NamedTemporaryFile() as told:
        process = _nursery().Process(target=_pytest, args=(tuple(tests), str(folder), told.name))
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join()
        code = KILLED if process.exitcode is None else process.exitcode
        return Outcome(code, Path(told.name).read_text(errors="replace")[-3000:])


@cache
def _nursery() -> ForkServerContext:
    """Return where processes are forked that have torch and triton already: seconds less for each."""
    nursery = multiprocessing.get_context("forkserver")
    nursery.set_forkserver_preload(list(PRELOADED))
    return nursery


def _pytest(tests: tuple[str, ...], folder: str, told: str) -> None:
    """Run pytest in this process, which knows the tree itself by nothing but this module."""
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True
    of_the_tree = {str(ROOT), str(ROOT / "src")}
    sys.path[:] = [folder, str(Path(folder) / "src"), *(path for path in sys.path if path not in {"", *of_the_tree})]
    for name in [name for name in sys.modules if name.split(".", 1)[0] in {"tests", "headrace"}]:
        del sys.modules[name]
    with Path(told).open("wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    known = "ignore::pytest.PytestAssertRewriteWarning"  # of what is there already
    options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-W", known, "-m", "full or not full"]
    sys.exit(int(pytest.main([*options, *tests])))
