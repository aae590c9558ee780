"""Every mutant is killed: a broken mask, index or scale fails the tests that claim to guard it."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.support.kernels import mutants
from tests.support.kernels.mutants import ALL_PASSED, SOME_FAILED, Mutant

MUTANTS = mutants.all_mutants()
OF_EACH_FAMILY = 2
SLOW = "kernels/vllm_plugin"  # their tests import all of vLLM


def _a_few() -> Iterator[str]:
    families: Counter[str] = Counter()
    for mutant in MUTANTS:
        family = str(Path(mutant.file).parent)
        families[family] += 1
        if family != SLOW and families[family] <= OF_EACH_FAMILY:
            yield mutant.name


BY_DEFAULT = set(_a_few())
CASES = [
    pytest.param(mutant, id=mutant.name, marks=[] if mutant.name in BY_DEFAULT else [pytest.mark.full])
    for mutant in MUTANTS
]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How the tests of all mutants end unbroken, and those of each mutant broken."""

    whole: mutants.Outcome
    broken: dict[Mutant, mutants.Outcome]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Run everything, a process a mutant, as many at once as there are cores, each in a copy of its own."""
    tried = [item.callspec.params["mutant"] for item in request.session.items if "mutant" in _parameters(item)]
    at_once = min(4, os.cpu_count() or 1)
    copies: SimpleQueue[Path] = SimpleQueue()
    for _ in range(at_once):
        copies.put(mutants.copy_tree(tmp_path_factory.mktemp("mutated")))

    def run_broken(mutant: Mutant | None) -> mutants.Outcome:
        copy = copies.get()
        try:
            if mutant is None:
                return mutants.run(sorted({test for each in tried for test in each.tests}), copy, timeout_s=1800)
            mutants.apply(mutant, copy)
            try:
                return mutants.run(mutant.tests, copy)
            finally:
                mutants.revert(mutant, copy)
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(at_once) as pool:
        whole, *broken = pool.map(run_broken, [None, *tried])
    return Outcomes(whole, dict(zip(tried, broken, strict=True)))


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


@pytest.mark.parametrize("mutant", CASES)
def test_a_mutant_is_killed(mutant: Mutant, outcomes: Outcomes) -> None:
    # A mutant is killed only by tests that pass without it.
    assert outcomes.whole.code == ALL_PASSED, f"the tests fail unbroken:\n{outcomes.whole.tail}"
    outcome = outcomes.broken[mutant]
    assert outcome.code == SOME_FAILED, f"{mutant.name} survives {mutant.tests}:\n{outcome.tail}"


def test_every_mutant_fits_the_tree_and_there_are_enough_of_them() -> None:
    assert not [problem for mutant in MUTANTS for problem in mutant.problems()]
    assert len({(mutant.file, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)
    assert len(BY_DEFAULT) >= 20


def test_a_mutant_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text("x = 1\nx = 1\n")
    assert Mutant("twice", "kernel.py", "x = 1", "x = 2", ("kernel.py",)).problems(tmp_path) == [
        "twice: the old text stands 2 times in kernel.py; wanted once"
    ]
    assert len(Mutant("no", "kernel.py", "y", "y", ()).problems(tmp_path)) == 3
    with pytest.raises(ValueError, match="no file"):
        mutants.apply(Mutant("gone", "gone.py", "x", "y", ("kernel.py",)), tmp_path)


def test_the_tree_itself_is_never_mutated() -> None:
    with pytest.raises(ValueError, match="the tree itself"):
        mutants.apply(Mutant("any", "kernels/checking.py", "a", "b", ("tests",)), mutants.ROOT)


def test_a_surviving_mutant_and_a_killed_one_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_sums.py").write_text("from sums import add\n\n\ndef test_add():\n    assert add(0, 2) == 2\n")
    survivor = Mutant("minus", "src/sums.py", "a + b", "b - a", ("test_sums.py",))
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["full: all"]\n')
    mutants.apply(survivor, tmp_path)
    assert mutants.run(survivor.tests, tmp_path).code == ALL_PASSED
    mutants.apply(Mutant("zero", "src/sums.py", "b - a", "a", ("test_sums.py",)), tmp_path)
    assert mutants.run(survivor.tests, tmp_path).code == SOME_FAILED
