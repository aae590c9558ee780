import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from headrace.kernels import dispatch, vllm_plugin
from headrace.kernels.vllm_plugin import hooks, options, state
from headrace.kernels.vllm_plugin.options import Options

QUIET = "import sys; from headrace.kernels.vllm_plugin import register; register(); print('vllm' in sys.modules)"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(state.STATE_VARIABLE, raising=False)
    state.forget()
    yield
    state.forget()


class Hooks:
    """Stands for the real hooks: notes what is called, and fails where it is told to."""

    def __init__(self, broken: str = "") -> None:
        self.calls: list[str] = []
        self.broken = broken

    def of(self, wanted: Options) -> Iterator[hooks.Hook]:
        for name, is_on in (("attention", wanted.attention), ("moe", wanted.moe)):
            if is_on is not None:
                yield name, self._call(name), self._call(f"no {name}")

    def _call(self, name: str) -> "Call":
        return Call(self, name)


class Call:
    def __init__(self, hooks: Hooks, name: str) -> None:
        self.hooks, self.name = hooks, name

    def __call__(self) -> str:
        self.hooks.calls.append(self.name)
        if self.name == self.hooks.broken:
            raise ImportError("cannot import name 'X' from 'vllm'")
        return self.name.upper()


def switch_on(monkeypatch: pytest.MonkeyPatch, found: Hooks, **more: str) -> None:
    monkeypatch.setattr(hooks, "of", found.of)
    said = {options.ATTENTION_VARIABLE: "sparse", options.MOE_VARIABLE: "headrace", dispatch.MODE_VARIABLE: "auto"}
    for name, value in (said | more).items():
        monkeypatch.setenv(name, value)


def test_vllm_finds_the_plug_in_by_its_entry_point() -> None:
    (point,) = (each for each in entry_points(group="vllm.general_plugins") if each.name == "headrace")
    assert point.load() is vllm_plugin.register


def test_nothing_is_imported_where_nothing_is_switched_on() -> None:
    found = subprocess.run([sys.executable, "-P", "-c", QUIET], env={}, capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_each_hook_is_put_in_once_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Hooks()
    switch_on(monkeypatch, found)
    vllm_plugin.register()
    vllm_plugin.register()
    assert found.calls == ["attention", "moe"]
    assert state.snapshot()["installed"] == {"attention": "ATTENTION", "moe": "MOE"}


def test_a_hook_that_fails_is_noted_and_stood_in_for_and_the_others_go_in(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Hooks(broken="attention")
    switch_on(monkeypatch, found)
    vllm_plugin.register()
    assert found.calls == ["attention", "no attention", "moe"]
    assert state.snapshot()["failed"] == {"attention": "ImportError: cannot import name 'X' from 'vllm'"}
    assert state.snapshot()["installed"] == {"attention stand-in": "NO ATTENTION", "moe": "MOE"}


def test_a_vllm_without_the_names_of_the_hooks_is_noted_and_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_on(monkeypatch, Hooks())
    monkeypatch.delattr(vllm_plugin, "hooks")
    monkeypatch.setitem(sys.modules, "headrace.kernels.vllm_plugin.hooks", None)
    vllm_plugin.register()
    assert (
        "ImportError" in state.snapshot()["failed"]["hooks"] or "ModuleNotFound" in state.snapshot()["failed"]["hooks"]
    )


def test_the_kill_switch_leaves_only_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Hooks()
    switch_on(monkeypatch, found, HEADRACE_KERNELS="off")
    vllm_plugin.register()
    assert found.calls == ["no attention", "no moe"]
    assert state.snapshot()["failed"] == {}


@pytest.mark.parametrize("name", ["HEADRACE_ATTENTION_OPTIONS", "HEADRACE_KERNELS"])
def test_options_that_cannot_be_read_are_noted_and_leave_only_stand_ins(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = Hooks()
    switch_on(monkeypatch, found, **{name: "{nonsense"})
    vllm_plugin.register()
    assert found.calls == ["no attention", "no moe"]
    assert name in state.snapshot()["failed"]["options"]
