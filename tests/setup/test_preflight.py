import dataclasses
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.errors import SetupError
from headrace.setup import preflight
from headrace.setup.preflight import GIB, Host, Needs

HOST = Host(
    python=(3, 11),
    environment_disk_bytes=20 * GIB,
    store_disk_bytes=20 * GIB,
    shares_disk=False,
    has_compiler=True,
    has_gpu=False,
)
NEEDS = Needs(environment_bytes=6 * GIB, store_bytes=6 * GIB, compiles=False)


def judge(needs: Needs = NEEDS, **changes: Any) -> list[str]:
    return preflight.judge(dataclasses.replace(HOST, **changes), needs)


def test_a_fit_machine_passes_without_a_word() -> None:
    assert judge() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": (3, 12)}, "Python 3.11, this is 3.12"),
        ({"environment_disk_bytes": 5 * GIB}, "5.0 GiB of disk is free, 6.0 GiB is needed"),
        ({"store_disk_bytes": GIB}, "HEADRACE_HOME"),
        ({"shares_disk": True, "environment_disk_bytes": 11 * GIB}, "12.0 GiB is needed"),
    ],
)
def test_what_is_lacking_is_named_with_figures(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        judge(**changes)


def test_without_a_compiler_eager_engines_only_get_a_warning() -> None:
    assert len(judge(has_compiler=False)) == 1


def test_without_a_compiler_compiled_engines_cannot_start() -> None:
    with pytest.raises(SetupError, match="install g"):
        judge(dataclasses.replace(NEEDS, compiles=True), has_compiler=False)


def test_a_built_environment_asks_nothing_of_the_python_or_the_disk() -> None:
    built = Needs(environment_bytes=0, store_bytes=0, compiles=False)
    assert judge(built, python=(3, 13), environment_disk_bytes=0, store_disk_bytes=0) == []


def test_this_machine_can_be_measured(tmp_path: Path) -> None:
    host = preflight.measure(tmp_path, tmp_path / "home")
    assert host.shares_disk
    assert host.store_disk_bytes > 0
