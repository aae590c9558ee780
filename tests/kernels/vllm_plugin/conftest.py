"""The plug-in is tested on the torch path: what the kernels compute is theirs to test, and the interpreter is slow."""

import pytest

from headrace.kernels import dispatch


@pytest.fixture(autouse=True)
def _torch_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "torch")
