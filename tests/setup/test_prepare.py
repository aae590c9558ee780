import os
import signal
import subprocess
import sys
import threading

import pytest

from headrace.contracts.errors import StoreError
from headrace.setup.prepare import Model, prepare, terminable

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class Diary:
    """Notes what was done, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def model(self, name: str) -> Model:
        return Model(name, fetch=lambda: self.entries.append(f"fetch {name}"), build=lambda: self.note(f"build {name}"))

    def note(self, entry: str) -> None:
        self.entries.append(entry)


def fail() -> None:
    raise StoreError("the index is gone")


def nothing() -> None:
    pass


def test_a_model_is_built_once_it_is_fetched_and_the_environment_stands() -> None:
    diary = Diary()
    prepare(environment=lambda: diary.note("environment"), models=[diary.model("a"), diary.model("b")])
    entries = diary.entries
    assert sorted(entries) == ["build a", "build b", "environment", "fetch a", "fetch b"]
    for name in ("a", "b"):
        assert entries.index(f"build {name}") > entries.index(f"fetch {name}")
        assert entries.index(f"build {name}") > entries.index("environment")


def test_fetching_goes_on_while_the_environment_is_built() -> None:
    fetched = threading.Event()
    prepare(environment=lambda: _wait(fetched), models=[Model("a", fetch=fetched.set, build=nothing)])
    assert fetched.is_set()


def test_more_models_than_threads_are_all_built() -> None:
    diary = Diary()
    prepare(environment=None, models=[diary.model(str(number)) for number in range(9)])
    assert len(diary.entries) == 18


@pytest.mark.parametrize("where", ["environment", "fetch", "build"])
def test_the_first_error_is_raised_and_nothing_is_left_waiting(where: str) -> None:
    model = Model("a", fetch=fail if where == "fetch" else nothing, build=fail if where == "build" else nothing)
    with pytest.raises(StoreError, match="index is gone"):
        prepare(environment=fail if where == "environment" else nothing, models=[model, Model("b", nothing, nothing)])


def test_an_error_ends_the_processes_of_the_other_jobs() -> None:
    started = threading.Event()
    status: list[int] = []

    def sleep() -> None:
        with subprocess.Popen(SLEEPER) as process:
            started.set()
            status.append(process.wait())

    def fail_meanwhile() -> None:
        _wait(started)
        fail()

    with pytest.raises(StoreError):
        prepare(environment=sleep, models=[Model("a", fetch=fail_meanwhile, build=nothing)])
    assert status == [-signal.SIGTERM]


def test_sigterm_ends_the_work_as_ctrl_c_does() -> None:
    def be_told_to_stop() -> None:
        with subprocess.Popen(SLEEPER) as process:
            os.kill(os.getpid(), signal.SIGTERM)
            process.wait()

    with terminable(), pytest.raises(KeyboardInterrupt):
        prepare(environment=be_told_to_stop, models=[])


def _wait(event: threading.Event) -> None:
    assert event.wait(timeout=20)
