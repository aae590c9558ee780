"""How each kind of FAISS index is built and searched.

What ivf and hnsw find is inexact, and scored anew from the exact vectors by the caller.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

import faiss
import numpy as np

from headrace.retrieval.nearest.choice import Kind
from headrace.retrieval.nearest.ranges import size, spelled
from headrace.retrieval.nearest.source import Ids, Ranges, Source, Vector

BATCH: Final = 16_384
# Vectors a cell is trained on, and rounds of training: more gains nothing measurable here.
TRAINED_ON: Final = 48
ROUNDS: Final = 8
CELLS_READ: Final = 32
# Of the vectors that pass, so many at least are in the cells read.
COMPARED: Final = 4_000
COMPARED_FOR_EACH: Final = 20
NEIGHBOURS: Final = 32
BUILD_BREADTH: Final = 80
SEARCH_BREADTH: Final = 96
# A set of ids this much smaller than the greatest id is hashed; others become a bit for every id.
SPARSE: Final = 64


def empty(kind: Kind, count: int, dimensions: int) -> faiss.Index:
    """Return an index without vectors, of a kind, ready for so many."""
    if kind == "ivf":
        cells = faiss.IndexFlatIP(dimensions)
        index = faiss.IndexIVFScalarQuantizer(
            cells, dimensions, _cells(count), faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.niter = ROUNDS
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = TRAINED_ON
        return index
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimensions, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILD_BREADTH
        return faiss.IndexIDMap(graph)
    return faiss.IndexIDMap(faiss.IndexFlatIP(dimensions))


def fill(index: faiss.Index, source: Source) -> Iterator[None]:
    """Put all of a source's vectors in; comes up for air after training and after every batch."""
    if not index.is_trained:
        step = max(1, source.count() // (TRAINED_ON * _cells(source.count())))
        index.train(np.concatenate([vectors[::step] for _, vectors in source.batches(BATCH)]))
        yield
    for ids, vectors in source.batches(BATCH):
        index.add_with_ids(vectors, ids)
        yield


def search(
    index: faiss.Index, vector: Vector, k: int, selector: faiss.IDSelector | None, share: float
) -> tuple[Ids, Vector]:
    """Return the ids and scores of up to k nearest; share: of the vectors that the selector lets pass, 0..1.

    The fewer pass, the wider the search, so that enough of those that pass are compared.
    """
    scores, ids = index.search(vector.reshape(1, -1), k, params=_parameters(index, k, selector, max(share, 1e-6)))
    found = ids[0] >= 0
    return ids[0][found], scores[0][found]


def within(ranges: Ranges, greatest: int) -> faiss.IDSelector:
    """Return a selector of the ids in these ranges, which are merged and end at the greatest id or before."""
    if size(ranges) * SPARSE < greatest:
        return faiss.IDSelectorBatch(spelled(ranges))
    edges = np.zeros(greatest + 2, dtype=np.int8)
    edges[ranges[:, 0]] = 1
    edges[ranges[:, 1] + 1] = -1
    made: Any = faiss
    selector: faiss.IDSelector = made.IDSelectorBitmap(
        np.packbits(np.cumsum(edges, dtype=np.int8).astype(np.bool_), bitorder="little")
    )
    return selector


def without(ids: Ids) -> faiss.IDSelector:
    """Return a selector of all ids but these."""
    return faiss.IDSelectorNot(faiss.IDSelectorBatch(ids))


def _parameters(index: faiss.Index, k: int, selector: faiss.IDSelector | None, share: float) -> faiss.SearchParameters:
    made: Any = faiss  # its stubs lack the keywords of these constructors
    parameters: faiss.SearchParameters
    if isinstance(index, faiss.IndexIVF):
        enough = max(COMPARED, COMPARED_FOR_EACH * k) / (share * max(1, index.ntotal) / index.nlist)
        parameters = made.SearchParametersIVF(sel=selector, nprobe=min(index.nlist, max(CELLS_READ, math.ceil(enough))))
    elif isinstance(index, faiss.IndexIDMap) and isinstance(faiss.downcast_index(index.index), faiss.IndexHNSW):
        breadth = min(index.ntotal, math.ceil(max(SEARCH_BREADTH, 2 * k / share)))
        parameters = made.SearchParametersHNSW(sel=selector, efSearch=breadth)
    else:
        parameters = made.SearchParameters(sel=selector)
    return parameters


def _cells(count: int) -> int:
    return max(1, round(2 * math.sqrt(count)))
