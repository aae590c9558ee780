"""Every mutant is killed: a broken mask, index or scale fails the tests that claim to guard it."""

from pathlib import Path

import pytest

from tests.support.kernels import mutants
from tests.support.kernels.mutants import ALL_PASSED, SOME_FAILED, Mutant

MUTANTS = mutants.all_mutants()
BY_DEFAULT = {"gate: the scale left out"}


CASES = [
    pytest.param(mutant, id=mutant.name, marks=[] if mutant.name in BY_DEFAULT else [pytest.mark.full])
    for mutant in MUTANTS
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mutants.copy_tree(tmp_path_factory.mktemp("mutated"))


@pytest.fixture(scope="module")
def whole(copy: Path, request: pytest.FixtureRequest) -> mutants.Outcome:
    """Run the tests of every mutant that is tried, unbroken: a mutant is killed only by tests that pass without it."""
    tried = [item.callspec.params["mutant"] for item in request.session.items if "mutant" in _parameters(item)]
    return mutants.run(sorted({test for mutant in tried for test in mutant.tests}), copy, timeout_s=1800)


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


@pytest.mark.parametrize("mutant", CASES)
def test_a_mutant_is_killed(mutant: Mutant, copy: Path, whole: mutants.Outcome) -> None:
    assert whole.code == ALL_PASSED, f"the tests fail unbroken:\n{whole.tail}"
    mutants.apply(mutant, copy)
    try:
        outcome = mutants.run(mutant.tests, copy)
    finally:
        mutants.revert(mutant, copy)
    assert outcome.code == SOME_FAILED, f"{mutant.name} survives {mutant.tests}:\n{outcome.tail}"


def test_every_mutant_fits_the_tree_and_there_are_enough_of_them() -> None:
    assert not [problem for mutant in MUTANTS for problem in mutant.problems()]
    assert len({(mutant.file, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)
    assert len(MUTANTS) >= 20
    assert {mutant.name for mutant in MUTANTS} >= BY_DEFAULT


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
