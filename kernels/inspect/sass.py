"""Count NVIDIA machine code: what `nvdisasm -c -g` prints, each instruction under the source line it came from."""

import re
from dataclasses import dataclass
from typing import Final

from headrace.kernels.inspect.facts import Counts
from headrace.kernels.inspect.load_lines import Loads

WIDE_BYTES: Final = 16
_LINE: Final = re.compile(r'//## File "([^"]+)", line (\d+)')
_INSTRUCTION: Final = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")
_RESOURCES: Final = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)")
_ASYNC: Final = re.compile(r"(HGMMA|IGMMA|QGMMA|BGMMA|UTC[A-Z]*MMA)\b")
_MATRIX: Final = re.compile(r"(HMMA|IMMA|QMMA|DMMA|OMMA)\b")
_WIDTHS: Final = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}
_A_WORD: Final = 4


@dataclass(frozen=True, slots=True)
class Resources:
    """What a thread and a block of a kernel hold, in words and bytes; stack_bytes is where registers spill."""

    registers: int
    stack_bytes: int
    static_shared_bytes: int


def resources(text: str) -> Resources:
    """Read what `cuobjdump -res-usage` prints of a cubin with one kernel."""
    found = _RESOURCES.search(text)
    if found is None:
        raise ValueError(f"no REG, STACK and SHARED in what cuobjdump printed: {text[:200]!r}")
    return Resources(*(int(each) for each in found.groups()))


def count(listing: str, loads: Loads) -> Counts:
    """Count a listing; `loads` says which are of weights or KV, and a bulk copy (TMA) counts as wide."""
    found = dict.fromkeys(Counts.__dataclass_fields__, 0)
    place = ("", 0)
    for line in listing.splitlines():
        if at := _LINE.search(line):
            place = (at[1], int(at[2]))
            continue
        instruction = _INSTRUCTION.search(line)
        if instruction is None:
            continue
        opcode = instruction[1]
        for word, holds in _classes(opcode).items():
            found[word] += holds
        width = load_bytes(opcode)
        if not width:
            continue
        for prefix in ["load_bytes"] + ["weight_bytes"] * (loads.is_weight(place)):
            found[prefix] += width
            found[f"{prefix}_wide"] += width if width >= WIDE_BYTES else 0
    return Counts(**found)


def load_bytes(opcode: str) -> int:
    """Return how many bytes a thread loads from global memory, 0 for an instruction that loads none."""
    name, *words = opcode.split(".")
    if name in {"LDG", "LDGSTS"}:
        return next((_WIDTHS[word] for word in words if word in _WIDTHS), _A_WORD)
    return WIDE_BYTES if name in {"UTMALDG", "UBLKCP"} else 0


def _classes(opcode: str) -> dict[str, bool]:
    name = opcode.split(".", maxsplit=1)[0]
    return {
        "async_matrix": bool(_ASYNC.match(opcode)),
        "matrix": bool(_MATRIX.match(opcode)),
        "shuffles": name == "SHFL",
        "barriers": name == "BAR",
        "spills": name in {"LDL", "STL"},
    }
