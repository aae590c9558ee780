"""Count AMD machine code: the assembly text that the compiler keeps, with its `.loc` lines and its metadata."""

import re
from pathlib import PurePosixPath
from typing import Final

from headrace.kernels.inspect.facts import Counts
from headrace.kernels.inspect.load_lines import Loads
from headrace.kernels.inspect.sass import WIDE_BYTES, Resources

_FILE: Final = re.compile(r'^\s*\.file\s+(\d+)\s+"([^"]+)"(?:\s+"([^"]+)")?')
_LOC: Final = re.compile(r"^\s*\.loc\s+(\d+)\s+(\d+)")
_LOAD: Final = re.compile(r"^\s*(?:global|buffer|flat)_load_(\w+)")
_SHUFFLE: Final = re.compile(r"^\s*(ds_bpermute|ds_permute|ds_swizzle|v_permlane)|_dpp\b")
_WIDTHS: Final = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4, "lds": 4}


def resources(text: str) -> Resources:
    """Read vector registers (accumulation registers with them), private memory and static shared memory."""
    return Resources(
        registers=_metadata(text, "vgpr_count"),
        stack_bytes=_metadata(text, "private_segment_fixed_size"),
        static_shared_bytes=_metadata(text, "group_segment_fixed_size"),
    )


def count(listing: str, loads: Loads) -> Counts:
    """Count a listing; `loads` says which are of weights or KV."""
    found = dict.fromkeys(Counts.__dataclass_fields__, 0)
    files: dict[str, str] = {}
    place = ("", 0)
    for line in listing.splitlines():
        if named := _FILE.match(line):
            files[named[1]] = str(PurePosixPath(named[2]) / named[3]) if named[3] else named[2]
        elif at := _LOC.match(line):
            place = (files.get(at[1], ""), int(at[2]))
        else:
            found["matrix"] += bool(re.match(r"\s*v_s?mfma_", line))
            found["shuffles"] += bool(_SHUFFLE.search(line))
            found["barriers"] += bool(re.match(r"\s*s_barrier", line))
            found["spills"] += bool(re.match(r"\s*scratch_(load|store)", line))
            width = load_bytes(line)
            if not width:
                continue
            for prefix in ["load_bytes"] + ["weight_bytes"] * (loads.is_weight(place)):
                found[prefix] += width
                found[f"{prefix}_wide"] += width if width >= WIDE_BYTES else 0
    return Counts(**found)


def load_bytes(line: str) -> int:
    """Return how many bytes a lane loads from global memory, 0 for a line that loads none."""
    load = _LOAD.match(line)
    if load is None:
        return 0
    kind = load[1].removeprefix("lds_")
    if kind in _WIDTHS:
        return _WIDTHS[kind]
    return 1 if "byte" in kind or "d8" in kind else 2


def _metadata(text: str, key: str) -> int:
    found = re.search(rf"\.{key}:\s+(\d+)", text)
    if found is None:
        raise ValueError(f"no .{key} in the assembly; is it the text of a whole kernel?")
    return int(found[1])
