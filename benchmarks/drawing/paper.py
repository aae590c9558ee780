"""Draws panels onto a small PNG: few colours that stay apart without colour vision, labels beside what they name."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.drawing.series import Panel, Series

DPI: Final = 110
COLOURS: Final = 256
# Okabe and Ito's palette: told apart with every common form of colour blindness.
_GREY, _ORANGE, _SKY, _GREEN, _BLUE, _RED, _BLACK = (
    "#8a8a8a",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#0072b2",
    "#d55e00",
    "#222222",
)


@dataclass(frozen=True, slots=True)
class Pen:
    """How a role is drawn."""

    colour: str
    marker: str = ""
    dash: str = "-"


PENS: Final[Mapping[str, Pen]] = {
    "coin": Pen(_GREY, dash="--"),
    "control": Pen(_BLACK, "s"),
    "length": Pen(_ORANGE, dash=":"),
    "question": Pen(_GREEN, dash="-."),
    "frontier": Pen(_SKY, "."),
    "cascade": Pen(_BLUE, "o"),
    "priced": Pen(_SKY, "D"),
    "plain": Pen(_RED, "^"),
    "constant": Pen(_ORANGE, "D"),
    "oracle": Pen(_GREEN, "*"),
    "exact": Pen(_GREY, dash="--"),
}


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a label stands: dx and dy points off its mark. along: which of a line's marks, as a share of the line."""

    dx: float
    dy: float
    along: float = 0.5


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes that the panels of a picture share, and where the labels of the first one stand."""

    x: str
    y: str
    title: str
    labels: Mapping[str, Spot]
    is_log: bool = False
    zero: bool = False


def draw(panels: Sequence[Panel], frame: Frame, path: Path, *, columns: int = 2) -> None:
    """Draw the panels, `columns` a row, labels in the first one only, and write the PNG."""
    rows = -(-len(panels) // columns)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(5.0 * columns, 3.9 * rows), layout="constrained")
        figure.suptitle(frame.title, fontsize=10.5)
        for number, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, number + 1)
            _draw_panel(axes, panel, frame, labelled=number == 0)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=DPI)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


def _draw_panel(axes: Axes, panel: Panel, frame: Frame, *, labelled: bool) -> None:
    axes.set_title(panel.title, fontsize=9.5, loc="left")
    axes.set_xlabel(panel.x or frame.x)
    axes.set_ylabel(frame.y)
    axes.grid(visible=True, color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    if frame.is_log:
        axes.set_xscale("log")
    if frame.zero:
        axes.axhline(0.0, color=_GREY, linewidth=1.0, linestyle="--")
    for one in panel.series:
        if one.x:
            _draw_series(axes, one)
            if labelled and one.label in frame.labels:
                _label(axes, one, frame.labels[one.label])


def _draw_series(axes: Axes, one: Series) -> None:
    pen = PENS[one.role]
    values = [each.value for each in one.y]
    spread = [[max(0.0, each.value - each.low) for each in one.y], [max(0.0, each.high - each.value) for each in one.y]]
    is_line = len(one.x) > 1
    axes.errorbar(
        one.x,
        values,
        yerr=spread if pen.marker and pen.marker != "." else None,
        color=pen.colour,
        marker=pen.marker or None,
        linestyle=pen.dash if is_line else "",
        linewidth=1.3,
        elinewidth=0.9,
        markersize=9 if pen.marker == "*" else 5,
    )


def _label(axes: Axes, one: Series, spot: Spot) -> None:
    mark = round(spot.along * (len(one.x) - 1))
    axes.annotate(
        one.label,
        (one.x[mark], one.y[mark].value),
        xytext=(spot.dx, spot.dy),
        textcoords="offset points",
        color=PENS[one.role].colour,
        fontsize=8,
        ha="left" if spot.dx >= 0 else "right",
        va="center",
    )
