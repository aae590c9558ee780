"""How a kernel is cut for a device: the tables beside this file, and the look-up. No autotuning at run time.

`<arch>/<op>.json` (`sm_90/moe_gemm.json`) is a list of rows, tried in order; a row applies where every `max_<size>` of
it is at least the size of the call, and the last row has no bound. `python -m headrace.kernels.tuned.tune`
times candidates on a device and writes its table.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import torch

NEAREST: Final[Sequence[tuple[int, str]]] = ((100, "sm_100"), (90, "sm_90"), (0, "sm_80"))
AMD: Final = "gfx942"
BOUND: Final = "max_"


@cache
def arch(device: torch.device) -> str:
    """Return the name of the table for a device: its own or the nearest older one; sm_90 where there is no GPU."""
    if device.type != "cuda":
        return "sm_90"
    if torch.version.hip is not None:
        return AMD
    major, minor = torch.cuda.get_device_capability(device)
    return next(name for least, name in NEAREST if 10 * major + minor >= least)


def choose(op: str, arch_name: str, **sizes: int) -> dict[str, int]:
    """Return the row of `op` for a call of these sizes, e.g. {"block_m": 16, "num_warps": 4, "num_stages": 3}.

    Raises KeyError where the table has no row for the op.
    """
    for row in table(arch_name)[op]:
        bounds = {word.removeprefix(BOUND): bound for word, bound in row.items() if word.startswith(BOUND)}
        if all(sizes[size] <= bound for size, bound in bounds.items()):
            return {word: value for word, value in row.items() if not word.startswith(BOUND)}
    raise KeyError(f"{op}: no row of tuned/{arch_name}/{op}.json takes {sizes}; its last row must have no bound")


@cache
def table(arch_name: str) -> Mapping[str, Sequence[Mapping[str, int]]]:
    """Return the whole table of an architecture: each kernel in a file of its own folder, `<arch>/<op>.json`."""
    folder = files(__name__).joinpath(arch_name)
    found: dict[str, Any] = {}
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".json"):
            found[entry.name.removesuffix(".json")] = json.loads(entry.read_text(encoding="utf-8"))
    return found
