"""How long work on a model tells where it stands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StepName = Literal["wait", "fetch", "join", "import", "measure", "publish"]


@dataclass(frozen=True, slots=True)
class Progress:
    """done of total units of one step on one model: bytes for fetch, join and publish, else parameters or tokens."""

    model: str
    step: StepName
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Take progress and show nothing."""
