from pathlib import Path

import pytest

from benchmarks.drawing.series import Panel, Series
from headrace.router.training.metrics import Interval

pytest.importorskip("matplotlib", reason="drawing needs the extra `bench`")

from benchmarks.drawing.paper import PENS, Frame, Spot, draw


def test_every_role_can_be_drawn_into_a_small_picture(tmp_path: Path) -> None:
    points = tuple(Interval(value, value - 1, value + 1) for value in (1.0, 2.0, 3.0))
    series = tuple(Series(role, role, (1.0, 2.0, 3.0), points) for role in PENS)
    frame = Frame("cost", "right", "title", dict.fromkeys(PENS, Spot(5, -5)), is_log=True, zero=True)
    draw([Panel("one", series), Panel("two", series[:1])], frame, tmp_path / "a.png")
    picture = (tmp_path / "a.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100_000


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    panel = Panel("one", (Series("a", "cascade", (1.0,), (Interval(1.0, 0.5, 2.0),)),))
    frame = Frame("x", "y", "t", {"a": Spot(5, 5)})
    for name in ("a.png", "b.png"):
        draw([panel], frame, tmp_path / name, columns=1)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
