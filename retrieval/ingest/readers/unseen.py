"""Text of a PDF page that nobody sees: transparent, too small, never painted, or white on white.

A scan carries its recognised words as text that is never painted, over the picture of the page: where a picture lies
under it, such text stays. White text stays where anything that is not white was painted under it before.
"""

import ctypes
import math
from collections.abc import Iterator, Sequence
from typing import Final

import pypdfium2  # type: ignore[import-untyped]  # it ships no types
from pypdfium2 import raw

LEAST_POINTS: Final = 1.0
WHITE: Final = 250  # of 255, each colour
NEVER_PAINTED: Final = frozenset({raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP})
_FILLED: Final = raw.FPDF_TEXTRENDERMODE_FILL
# What covers paper whatever its colour: its own colours are not looked at.
_COVERING: Final = frozenset({raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING, raw.FPDF_PAGEOBJ_FORM})

Box = tuple[float, float, float, float]  # left, bottom, right, top in points


def remove_unseen(page: pypdfium2.PdfPage) -> int:
    """Take the unseen text objects off a page that is in memory, and return how many there were."""
    unseen = list(_unseen(list(page.get_objects())))
    for one in unseen:
        page.remove_obj(one)
    return len(unseen)


def _unseen(objects: Sequence[pypdfium2.PdfObject]) -> Iterator[pypdfium2.PdfObject]:
    pictures = [_box(one) for one in objects if one.type == raw.FPDF_PAGEOBJ_IMAGE and one.level == 0]
    has_inner_pictures = any(one.type == raw.FPDF_PAGEOBJ_IMAGE and one.level for one in objects)
    painted: list[Box] = []
    for one in objects:
        if one.type != raw.FPDF_PAGEOBJ_TEXT:
            if one.level == 0 and _paints(one):
                painted.append(_box(one))
            continue
        red, green, blue, alpha = _fill(one)
        mode = raw.FPDFTextObj_GetTextRenderMode(one)
        if mode in NEVER_PAINTED:
            is_unseen = not has_inner_pictures and not _over(one, pictures)
        elif _points(one) < LEAST_POINTS or (alpha == 0 and mode == _FILLED):
            is_unseen = True
        else:
            is_white = min(red, green, blue) >= WHITE and mode == _FILLED
            is_unseen = is_white and one.level == 0 and not _over(one, painted)
        if is_unseen:
            yield one


def _paints(one: pypdfium2.PdfObject) -> bool:
    """Tell whether an object leaves something on the page that is not white."""
    if one.type in _COVERING:
        return True
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not raw.FPDFPath_GetDrawMode(one, fill, stroke) or fill.value == raw.FPDF_FILLMODE_NONE:
        return False
    *colours, alpha = _fill(one)
    return min(colours) < WHITE and alpha > 0


def _over(text: pypdfium2.PdfObject, boxes: Sequence[Box]) -> bool:
    """Tell whether the middle of a text lies in one of the boxes."""
    left, bottom, right, top = _box(text)
    x, y = (left + right) / 2, (bottom + top) / 2
    return any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for box in boxes)


def _box(one: pypdfium2.PdfObject) -> Box:
    try:
        left, bottom, right, top = one.get_bounds()
    except pypdfium2.PdfiumError:  # a text of blanks, a path of nothing
        return (0.0, 0.0, 0.0, 0.0)
    return (float(left), float(bottom), float(right), float(top))


def _fill(one: pypdfium2.PdfObject) -> tuple[int, int, int, int]:
    """Return red, green, blue and alpha, 0..255; opaque black where the object does not say."""
    parts = [ctypes.c_uint() for _ in range(4)]
    if not raw.FPDFPageObj_GetFillColor(one, *parts):
        return (0, 0, 0, 255)
    red, green, blue, alpha = (part.value for part in parts)
    return (red, green, blue, alpha)


def _points(text: pypdfium2.PdfObject) -> float:
    """Return how high the letters stand on the page, in points."""
    size = ctypes.c_float()
    if not raw.FPDFTextObj_GetFontSize(text, size):
        return math.inf
    _, _, c, d, _, _ = text.get_matrix().get()
    return abs(size.value) * math.hypot(c, d)
