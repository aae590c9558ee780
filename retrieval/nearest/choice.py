"""Which kind of FAISS index suits how many vectors. Pure, and imports no FAISS.

- flat: exact, up to FLAT_UNTIL vectors.
- ivf: in about 2 sqrt(n) cells, each number in a byte; a quarter of the memory, a search reads a few cells.
- hnsw: a graph; quick to search, slow to build and the largest. Only on request, for what is mostly read.
"""

from typing import Final, Literal, get_args

Kind = Literal["flat", "ivf", "hnsw"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FLAT_UNTIL: Final = 50_000
FEWEST: Final = 256


def suited(count: int, wanted: Kind | None) -> Kind:
    """Return the kind for so many vectors: the wanted one, unless there are too few to make it of."""
    if wanted is not None:
        return wanted if count >= FEWEST else "flat"
    return "flat" if count < FLAT_UNTIL else "ivf"
