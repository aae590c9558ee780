"""How a kernel is cut for a device: the tables beside this file, and the look-up. No autotuning at run time.

`<arch>/<op>.json` (`sm_90/moe_gemm.json`) is a list of rows, tried in order; a row applies where every `max_<size>` of
it is at least the size of the call, and the last row has no bound. `python -m headrace.kernels.tuning.tune` times
candidates on a device and writes its table. Tables of one device (`NVIDIA_H100_80GB_HBM3/moe_gemm.json`) come before
those of its architecture, and those in the folder `HEADRACE_KERNELS_TUNED` before the ones that are packaged.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import torch

NEAREST: Final[Sequence[tuple[int, str]]] = ((100, "sm_100"), (90, "sm_90"), (0, "sm_80"))
AMD: Final = "gfx942"
BOUND: Final = "max_"
FOLDER_VARIABLE: Final = "HEADRACE_KERNELS_TUNED"
_OF_DEVICE: Final = "/"

Row = Mapping[str, int]
Table = Mapping[str, Sequence[Row]]


@cache
def arch(device: torch.device) -> str:
    """Return the name of the table for a device: its own or the nearest older one; sm_90 where there is no GPU.

    Where tables of the very device exist, its name follows: `sm_90/NVIDIA_H100_80GB_HBM3`.
    """
    name = architecture(device)
    if device.type != "cuda":
        return name
    own = device_name(device)
    return f"{name}{_OF_DEVICE}{own}" if any(folder.joinpath(own).is_dir() for folder in _folders()) else name


def architecture(device: torch.device) -> str:
    """Return the architecture alone."""
    if device.type != "cuda":
        return "sm_90"
    if torch.version.hip is not None:
        return AMD
    major, minor = torch.cuda.get_device_capability(device)
    return next(name for least, name in NEAREST if 10 * major + minor >= least)


def device_name(device: torch.device) -> str:
    """Return the device's own name as a folder can have it."""
    return re.sub(r"\W+", "_", torch.cuda.get_device_name(device))


def choose(op: str, arch_name: str, **sizes: int) -> dict[str, int]:
    """Return the row of `op` for a call of these sizes, e.g. {"block_m": 16, "num_warps": 4, "num_stages": 3}.

    Raises KeyError where the table has no row for the op.
    """
    for row in table(arch_name)[op]:
        if applies(row, sizes):
            return {word: value for word, value in row.items() if not word.startswith(BOUND)}
    raise KeyError(f"{op}: no row of tuned/{arch_name}/{op}.json takes {sizes}; its last row must have no bound")


def applies(row: Row, sizes: Mapping[str, int]) -> bool:
    """Tell whether a row is for a call of these sizes."""
    return all(sizes[word.removeprefix(BOUND)] <= most for word, most in row.items() if word.startswith(BOUND))


@cache
def table(arch_name: str) -> Table:
    """Return the whole table of an architecture, or of a device of one: each kernel in its own file, `<op>.json`."""
    found: dict[str, Sequence[Row]] = {}
    for folder in _folders():
        for level in arch_name.split(_OF_DEVICE):
            found.update(_read(folder.joinpath(level)))
    return found


def forget() -> None:
    """Look the tables up anew: the folder or what is in it has changed."""
    arch.cache_clear()
    table.cache_clear()


def _folders() -> list[Traversable]:
    """Return where tables are, the least important first."""
    own = os.environ.get(FOLDER_VARIABLE)
    return [files(__name__), *([Path(own)] if own else [])]


def _read(folder: Traversable) -> dict[str, Sequence[Row]]:
    if not folder.is_dir():
        return {}
    entries = sorted(folder.iterdir(), key=lambda each: each.name)
    return {entry.name.removesuffix(".json"): _rows(entry) for entry in entries if entry.name.endswith(".json")}


def _rows(entry: Traversable) -> Sequence[Row]:
    rows: Sequence[Row] = json.loads(entry.read_text(encoding="utf-8"))
    is_table = isinstance(rows, list) and all(
        isinstance(row, dict) and all(type(value) is int for value in row.values()) for row in rows
    )
    if not is_table or not rows or any(word.startswith(BOUND) for word in rows[-1]):
        raise ValueError(f"{entry}: wanted a list of rows of whole numbers, the last without a {BOUND}... bound")
    return rows
