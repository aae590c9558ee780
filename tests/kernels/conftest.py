"""Kernels run in Triton's interpreter here: the variable is read when a kernel is decorated, so it is set first."""

import os
from collections.abc import Iterator

import pytest

os.environ["TRITON_INTERPRET"] = "1"
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from headrace.kernels import dispatch


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `full` unless `-m` asks for it."""
    if config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _no_refusals_before() -> Iterator[None]:
    dispatch.forget_refusals()
    yield
    dispatch.forget_refusals()


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Insist on the Triton kernels: a call that would fall back to torch fails."""
    monkeypatch.setenv(dispatch.MODE_VARIABLE, "triton")
