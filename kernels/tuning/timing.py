"""Time calls on a CUDA device: captured once into a graph, over inputs that take turns, so that no cache helps."""

import statistics
from collections.abc import Callable, Sequence
from typing import Final

import torch

WARM_UPS: Final = 3
REPLAYS: Final = 25
MOST_INPUTS: Final = 16
_US_A_MS: Final = 1000


class NoDevice(RuntimeError):
    """There is nothing to time on."""


def require_device() -> torch.device:
    """Return the CUDA device. Raises NoDevice, with one line that says so, where there is none."""
    if not torch.cuda.is_available():
        raise NoDevice("no CUDA device here: timing needs one; `python -m headrace.kernels.inspect` needs none")
    return torch.device("cuda", torch.cuda.current_device())


def inputs_needed(bytes_a_call: int, cache_bytes: int) -> int:
    """Return how many different inputs take turns so that each has left a cache of this size before it comes again."""
    return max(2, min(MOST_INPUTS, -(-2 * cache_bytes // max(1, bytes_a_call))))


def time_us(calls: Sequence[Callable[[], object]], *, replays: int = REPLAYS) -> float:
    """Return the median time of one call in microseconds; the calls run one after the other in one CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            for call in calls:
                call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    graph.replay()
    spans: list[float] = []
    for _ in range(replays):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        spans.append(float(begin.elapsed_time(end)))
    return statistics.median(spans) * _US_A_MS / len(calls)
