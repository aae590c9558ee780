"""Building a collection anew beside the one that is served, and the moment in which it takes that one's place.

A gateway may go on writing meanwhile. What it added is brought over in rounds, each shorter than the one before; for
the last, which is nearly always empty, its writers wait. So nothing that was acknowledged is missing from the new one.
"""

from collections.abc import Callable, Collection
from typing import Final

from headrace.cli.filling import Tally
from headrace.cli.place import Place
from headrace.cli.shelf import kept_files
from headrace.contracts.retrieval import Index
from headrace.retrieval.collection.open import halted, held
from headrace.retrieval.ingest.sources import Source

ROUNDS: Final = 8
FEW: Final = 4  # documents that writers may be made to wait for

Fill = Callable[[Source], Tally]


def rebuild(place: Place, store: str, staged: Index, fill: Fill) -> Tally:
    """Fill `staged`, the index in the folder `<store>.new`, with all the store holds, and swap it in.

    fill: puts a source's documents into `staged`, which is closed at the end. Where one fails, all stays as it was,
    and the tally tells.
    """
    fresh, place_of = place.library.collection(f"{store}.new"), place.library.collection(store)
    tally = fill(kept_files(place, store))
    for _ in range(ROUNDS):
        late = kept_files(place, store, without=_ids(staged))
        if tally.failed or len(late.items) <= FEW:
            break
        tally.add(fill(late))
    if tally.failed:
        return tally
    with halted(place_of, place.options):
        there = held(place_of, place.options)
        late = kept_files(place, store, without=_ids(staged), also=there)
        if late.items:
            tally.add(fill(late))
        if not tally.failed:
            _settle(place, store, staged, there)
            staged.close()
            place.swap(store, fresh)
    return tally


def _ids(index: Index) -> frozenset[str]:
    return frozenset(info.id for info in index.documents())


def _settle(place: Place, store: str, staged: Index, there: Collection[str]) -> None:
    """Take over what was removed and annotated since the documents were read."""
    wanted = {item.document: item.attributes for item in kept_files(place, store, also=there).items}
    for info in list(staged.documents()):
        if info.id not in wanted:
            staged.remove(info.id)
        elif info.attributes != wanted[info.id]:
            staged.annotate(info.id, wanted[info.id])
