"""Adds to a trained artefact, of difficulty or of quality, what feedback teaches, if that beats doing nothing."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from headrace.router.difficulty.artefact import CARD_FILE, FORMAT, read_artefact, write_artefact
from headrace.router.quality.model import FORMAT as QUALITY_FORMAT
from headrace.router.replay.log import Log
from headrace.router.training.feedback import Cell, Join, Known, Offsets, about_difficulty, about_quality, join
from headrace.router.training.recalibrate import Recalibration, recalibrate

Kind = Literal["difficulty", "quality"]

_FORMATS: Final[Mapping[Kind, str]] = {"difficulty": FORMAT, "quality": QUALITY_FORMAT}
_WRITTEN: Final = {"format", "format_version", "weights_sha256"}  # by write_artefact itself


def learn_from(log: Log, out: Path, kind: Kind, *, small: str, before: Known) -> tuple[Join, Recalibration]:
    """Write what feedback teaches into the artefact in `out`, if that beats doing nothing; return what was found.

    small: the model of the weakest tier, whose answers tell of the difficulty. before: `offsets_in` of the folder
    before it was trained.
    """
    card, arrays = read_artefact(out, _FORMATS[kind])
    told = about_difficulty(small) if kind == "difficulty" else about_quality
    joined = join(log, kind, {**before, card["weights_sha256"]: {}}, told)
    found = recalibrate(joined.heard)
    if found.is_better:
        taught, offsets = _as_array(found.offsets, card.get("domains"), small if kind == "difficulty" else None)
        figures = {key: value for key, value in asdict(found).items() if key != "offsets"}
        kept = {key: value for key, value in card.items() if key not in _WRITTEN}
        feedback = {"trained_as": card["weights_sha256"], **taught, **figures}
        write_artefact(out, {**kept, "feedback": feedback}, {**arrays, "offsets": offsets}, _FORMATS[kind])
    return joined, found


def offsets_in(folder: Path, kind: Kind) -> dict[str, Offsets]:
    """Return sha256 -> offsets of the artefact in a folder that learnt from feedback; empty where there is none."""
    if not (folder / CARD_FILE).exists():
        return {}
    card, arrays = read_artefact(folder, _FORMATS[kind])
    if "offsets" not in arrays:
        return {}
    taught = card["feedback"]
    rows = np.atleast_2d(arrays["offsets"]).tolist()
    found = {
        Cell(model, domain): value
        for model, row in zip(taught["models"], rows, strict=True)
        for domain, value in zip(taught["domains"], row, strict=True)
    }
    return {card["weights_sha256"]: found}


def _as_array(
    offsets: Offsets, domains: list[str] | None, small: str | None
) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """Return models and domains with an array over them: of difficulty one row, over all its domains."""
    models = [small] if small is not None else sorted({cell.model for cell in offsets})
    named = domains or sorted({cell.domain for cell in offsets})
    rows = [[offsets.get(Cell(model, domain), 0.0) for domain in named] for model in models]
    array = np.array(rows, dtype="<f4")
    return {"models": models, "domains": named}, array[0] if small is not None else array
