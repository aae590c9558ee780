"""The plug-in is tested on the torch path: what the kernels compute is theirs to test, and the interpreter is slow."""

import warnings

import pytest

from headrace.kernels import dispatch

with warnings.catch_warnings():
    # What vLLM and torch warn of while they are imported is not ours to mend.
    warnings.simplefilter("ignore")
    import vllm.v1.attention.backends.cpu_attn
    import vllm.v1.attention.backends.triton_attn
    import vllm.v1.worker.gpu_worker  # noqa: F401  (the most of vLLM in one go)


@pytest.fixture(autouse=True)
def _torch_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")
