import faiss
import numpy as np
import pytest

from headrace.retrieval.nearest import kinds
from headrace.retrieval.nearest.choice import KINDS, Kind
from tests.support.vectors import Memory

COUNT = 1_000


@pytest.fixture(scope="module")
def memory() -> Memory:
    memory = Memory(16)
    memory.add(COUNT)
    return memory


def built(kind: Kind, memory: Memory) -> faiss.Index:
    index = kinds.empty(kind, memory.count(), memory.dimensions)
    for _ in kinds.fill(index, memory):
        pass
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_finds_nearly_what_comparing_all_finds(kind: Kind, memory: Memory) -> None:
    index, hits = built(kind, memory), 0
    assert index.ntotal == COUNT
    for id_ in range(1, 51):
        ids, scores = kinds.search(index, memory.rows[id_], 20, None, 1.0)
        assert ids[0] == id_
        assert scores[0] == pytest.approx(1.0, abs=0.02)
        hits += len(set(ids.tolist()[:20]) & set(memory.exact(memory.rows[id_], 10)))
    assert hits / 500 >= 0.95


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [2, 100])
def test_only_what_the_selector_lets_pass_is_found(kind: Kind, step: int, memory: Memory) -> None:
    allowed = np.array([[id_, id_] for id_ in range(step, COUNT + 1, step)], dtype=np.int64)
    selector = kinds.within(allowed, COUNT)
    assert isinstance(selector, faiss.IDSelectorBitmap if step == 2 else faiss.IDSelectorBatch)
    ids, _ = kinds.search(built(kind, memory), memory.rows[1], 5, selector, 1 / step)
    assert len(ids) == 5
    assert not np.any(ids % step)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_is_not_found(kind: Kind, memory: Memory) -> None:
    nearest = np.array(memory.exact(memory.rows[1], 3), dtype=np.int64)
    ids, _ = kinds.search(built(kind, memory), memory.rows[1], 5, kinds.without(nearest), 1.0)
    assert len(ids) == 5
    assert not set(ids.tolist()) & set(nearest.tolist())


def test_fewer_than_asked_for_are_no_padding() -> None:
    memory = Memory(4)
    memory.add(2)
    ids, _ = kinds.search(built("flat", memory), memory.rows[1], 10, None, 1.0)
    assert sorted(ids.tolist()) == [1, 2]
