from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from headrace.kernels.tuning import timing
from headrace.kernels.tuning.timing import MOST_INPUTS, NoDevice, inputs_needed, require_device, time_us


def test_without_a_device_one_line_says_so() -> None:
    with pytest.raises(NoDevice, match="no CUDA device here"):
        require_device()


@pytest.mark.parametrize(("a_call", "count"), [(100 << 20, 2), (10 << 20, 10), (1, MOST_INPUTS), (0, MOST_INPUTS)])
def test_inputs_take_turns_until_the_cache_has_forgotten_them(a_call: int, count: int) -> None:
    assert inputs_needed(a_call, 50 << 20) == count


class _Card:
    """A device on which every call takes 30 us, and a clock that only replays move."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.captured: list[str] = []
        self.now_ms = 0.0
        self.capturing = False

    def call(self, name: str) -> None:
        (self.captured if self.capturing else self.called).append(name)

    @contextmanager
    def graph(self, _: object) -> Iterator[None]:
        self.capturing = True
        yield
        self.capturing = False

    def replay(self) -> None:
        self.now_ms += 0.03 * len(self.captured)


class _Event:
    def __init__(self, card: _Card) -> None:
        self.card, self.at = card, 0.0

    def record(self) -> None:
        self.at = self.card.now_ms

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, other: "_Event") -> float:
        return other.at - self.at


def test_calls_are_warmed_up_captured_once_and_timed_by_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    card = _Card()
    stream = SimpleNamespace(wait_stream=lambda _: None)
    for name, stand_in in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda _: card_context(),
        "CUDAGraph": lambda: SimpleNamespace(replay=card.replay),
        "graph": card.graph,
        "Event": lambda **_: _Event(card),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    took = time_us([lambda: card.call("a"), lambda: card.call("b")], replays=5)
    assert took == pytest.approx(30.0)
    assert card.called == ["a", "b"] * timing.WARM_UPS
    assert card.captured == ["a", "b"]


@contextmanager
def card_context() -> Iterator[None]:
    yield
