import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.kernels import dispatch
from headrace.kernels.vllm_plugin import state


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    state.forget()
    yield
    state.forget()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(state.STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


def written(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"{os.getpid()}.json").read_text())
    return found


def test_hooks_and_failures_are_written_at_once(folder: Path) -> None:
    state.install("moe", "M = N")
    state.fail("attention", "ImportError: " + "x" * 1000)
    said = written(folder)
    assert said["installed"] == {"moe": "M = N"}
    assert said["failed"] == {"attention": ("ImportError: " + "x" * 1000)[: state.MOST_ERROR_CHARS]}
    assert state.is_installed("moe")
    assert not state.is_installed("attention")
    assert not list(folder.glob("*.tmp"))


def test_a_hook_that_comes_in_after_all_is_no_failure() -> None:
    state.fail("moe", "not yet")
    state.install("moe", "M")
    assert state.snapshot()["failed"] == {}


def test_counts_are_written_later_and_all_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "WRITE_EVERY_S", 0.2)
    for _ in range(100):
        state.serve("fused_experts")
        state.refuse("sparse_prefill", "short-context")
    assert not folder.exists()
    (timer,) = state._pending
    timer.join(timeout=30)
    said = written(folder)
    assert said["served"] == {"fused_experts": 100}
    assert said["refusals"] == [["sparse_prefill", "short-context", 100]]


def test_refusals_of_the_kernels_themselves_are_told_too() -> None:
    dispatch.refuse("moe_gate", "no-gpu")
    assert state.snapshot()["refusals"] == [["moe_gate", "no-gpu", 1]]


def test_without_a_folder_nothing_is_written_and_counting_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(state.STATE_VARIABLE, raising=False)
    state.serve("moe")
    state.write()
    assert state.snapshot()["served"] == {"moe": 1}
    monkeypatch.setenv(state.STATE_VARIABLE, str(tmp_path / "file"))
    (tmp_path / "file").touch()
    state.write()  # a folder that cannot be made disturbs nobody
