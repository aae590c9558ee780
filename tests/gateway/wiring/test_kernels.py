import json
import os
from pathlib import Path

from headrace.gateway.telemetry.logging import Log
from headrace.gateway.wiring.kernels import KernelWatch
from headrace.gateway.wiring.processes import Engine, Processes
from headrace.models.backends.encode import EndpointSpec

SAID = {
    "installed": {"attention": "CPU_ATTN = SparseCpuBackend"},
    "failed": {"moe": "ImportError: no such name"},
    "served": {"sparse_prefill": 4},
    "refusals": [["sparse_decode", "short-context", 9]],
}


def engine(state: Path | None) -> Engine:
    return Engine(EndpointSpec("http://127.0.0.1:9/v1", "k", "vllm"), lambda: True, state)


def watch(folder: Path) -> KernelWatch:
    (folder / f"{os.getpid()}.json").write_text(json.dumps(SAID))
    return KernelWatch(Processes({"small": engine(folder), "plain": engine(None)}))


def test_engines_that_were_asked_for_nothing_are_not_watched() -> None:
    found = KernelWatch(Processes({"plain": engine(None)}))
    assert not found.is_needed
    assert (found.refusals(), found.served(), found.degraded()) == ({}, {}, [])


def test_counts_carry_the_backend_they_came_from(tmp_path: Path) -> None:
    found = watch(tmp_path)
    assert found.is_needed
    assert found.refusals() == {("small", "sparse_decode", "short-context"): 9}
    assert found.served() == {("small", "sparse_prefill"): 4}


def test_a_hook_that_failed_is_told_with_its_engine_and_why(tmp_path: Path) -> None:
    assert watch(tmp_path).degraded() == [
        "backend small: the moe hook of its kernels failed: ImportError: no such name"
    ]


def test_an_engine_that_serves_without_a_word_of_its_plug_in_is_told_with_the_cure(tmp_path: Path) -> None:
    found = KernelWatch(Processes({"small": engine(tmp_path / "none")}))
    assert found.degraded() == [
        "backend small: the plug-in of its engine said nothing; run make setup, which installs it"
    ]
    starting = Engine(EndpointSpec("http://127.0.0.1:9/v1", "k", "vllm"), lambda: False, tmp_path / "none")
    assert KernelWatch(Processes({"small": starting})).degraded() == []


def test_the_start_says_which_hooks_are_in(tmp_path: Path) -> None:
    lines: list[bytes] = []

    class Told(Log):
        def __init__(self) -> None:
            """Take events without a writer."""

        def event(self, event: str, **fields: object) -> None:
            lines.append(json.dumps({"event": event, **fields}).encode())

    watch(tmp_path).tell(Told())
    assert [json.loads(line) for line in lines] == [
        {"event": "kernels", "backend": "small", "installed": SAID["installed"], "failed": SAID["failed"]}
    ]
