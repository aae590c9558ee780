"""What is known of one compiled kernel without running it, as plain data that crosses a process as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

Whose = Literal["headrace", "vllm"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What stands in a listing, counted once a line: a loop's body counts as it is written, not as it runs.

    async_matrix: instructions that take their operands from shared memory or feed tensor memory (HGMMA, UTC*MMA);
    matrix: those of a warp (HMMA, IMMA, MFMA). weight_bytes: of the loads that read weights or KV, all and in pieces
    of at least 128 bits. spills: loads and stores of local memory.
    """

    async_matrix: int = 0
    matrix: int = 0
    shuffles: int = 0
    barriers: int = 0
    spills: int = 0
    weight_bytes: int = 0
    weight_bytes_wide: int = 0
    load_bytes: int = 0
    load_bytes_wide: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """One kernel for one architecture. error: why there are no figures, empty where there are."""

    whose: Whose
    op: str
    kernel: str
    arch: str
    role: str
    shape: str
    tile: str
    num_warps: int
    num_stages: int
    registers: int = 0
    spill_bytes: int = 0
    shared_bytes: int = 0
    ctas_per_sm: int = 0
    occupancy: float = 0.0
    reads_weights: bool = False
    counts: Counts = field(default_factory=Counts)
    error: str = ""

    @property
    def wide_share(self) -> float | None:
        """Return the share of weight or KV bytes loaded 128 bits at a time, None where the kernel reads none."""
        if not self.reads_weights:
            return None
        return self.counts.weight_bytes_wide / self.counts.weight_bytes if self.counts.weight_bytes else 0.0

    @property
    def name(self) -> str:
        """Return what tells this row from all others."""
        return f"{self.whose} {self.op} {self.kernel} [{self.shape}] {self.tile} on {self.arch}"


def to_json(facts: Facts) -> str:
    """Return `facts` as one line."""
    return json.dumps(asdict(facts), sort_keys=True)


def from_json(line: str) -> Facts:
    """Return what `to_json` wrote."""
    return from_mapping(json.loads(line))


def from_mapping(entry: Mapping[str, object]) -> Facts:
    """Return facts from their fields."""
    fields = dict(entry)
    counts = fields.pop("counts")
    if not isinstance(counts, dict):
        raise TypeError(f"counts is {counts!r}; wanted an object")
    return Facts(counts=Counts(**counts), **fields)  # type: ignore[arg-type]  # the fields come from `to_json`
