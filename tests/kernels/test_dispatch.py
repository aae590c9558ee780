import pytest
import torch

from headrace.kernels import dispatch

CPU = torch.device("cpu")


def test_a_word_nobody_knows_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "cuda")
    with pytest.raises(ValueError, match="HEADRACE_KERNELS='cuda': write one of auto, triton, torch, off"):
        dispatch.mode()


@pytest.mark.parametrize("word", ["torch", "off"])
def test_the_kill_switch_takes_torch_and_counts_nothing(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, word)
    assert not dispatch.uses_triton("op", CPU, "head-dim")
    assert dispatch.refusals() == {}


def test_the_interpreter_serves_cpu_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert dispatch.uses_triton("op", CPU)


def test_a_cpu_without_the_interpreter_is_counted_as_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    assert not dispatch.uses_triton("op", CPU)
    assert dispatch.refusals() == {("op", "no-gpu"): 1}


def test_an_unsupported_shape_is_counted_with_its_reason() -> None:
    for _ in range(2):
        assert not dispatch.uses_triton("op", CPU, "head-dim")
    assert dispatch.refusals() == {("op", "head-dim"): 2}


@pytest.mark.usefixtures("kernels")
def test_insisting_on_the_kernel_makes_a_refusal_an_error() -> None:
    with pytest.raises(dispatch.KernelRefused, match="op: head-dim on cpu, and HEADRACE_KERNELS=triton"):
        dispatch.uses_triton("op", CPU, "head-dim")
