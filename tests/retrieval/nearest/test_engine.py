import copy
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from filelock import FileLock

from headrace.contracts.errors import StoreError
from headrace.retrieval.nearest import snapshot
from headrace.retrieval.nearest.choice import KINDS, Kind
from headrace.retrieval.nearest.engine import FaissEngine, Rebuilding
from tests.support.vectors import Memory

DIMENSIONS = 16
Make = Callable[..., FaissEngine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    engines: list[FaissEngine] = []

    def making(memory: Memory, *, kind: Kind | None = None, after: int = 10**6, share: float = 0.2) -> FaissEngine:
        engine = FaissEngine(
            tmp_path,
            identity="a" * 32,
            dimensions=DIMENSIONS,
            sources=memory,
            rebuilding=Rebuilding(kind, after, share),
        )
        engines.append(engine)
        return engine

    yield making
    for engine in engines:
        engine.close()


def settled(engine: FaissEngine) -> None:
    """Wait for a build that is under way."""
    builder = engine._builder
    if builder is not None:
        builder.join()


def ids(found: list[tuple[int, float]]) -> list[int]:
    return [id_ for id_, _ in found]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("built", [False, True])
def test_what_is_built_and_what_came_since_are_searched_as_one(make: Make, kind: Kind, *, built: bool) -> None:
    memory = Memory(DIMENSIONS)
    engine = make(memory, kind=kind)
    memory.add(600)
    if built:
        engine.settle()
    memory.add(200)
    memory.remove(3, 40)
    memory.remove(700, 710)
    same = 0
    for id_ in (1, 100, 650, 799):
        found = engine.search(memory, memory.rows[id_], 10, None)
        assert found[0] == (id_, pytest.approx(1.0, abs=1e-5))
        assert not set(ids(found)) & {*range(3, 41), *range(700, 711)}
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        same += len(set(ids(found)) & set(memory.exact(memory.rows[id_], 10)))
    assert same >= 36


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_finds_all_of_the_few_it_lets_pass(make: Make, kind: Kind) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(600)
    engine = make(memory, kind=kind)
    engine.settle()
    memory.add(10)
    within = np.array([[5, 6], [300, 300], [605, 606], [9, 8]], dtype=np.int64)
    found = engine.search(memory, memory.rows[1], 10, within)
    expected = sorted((5, 6, 300, 605, 606), key=lambda id_: -float(memory.rows[id_] @ memory.rows[1]))
    assert ids(found) == expected
    assert [score for _, score in found] == pytest.approx(
        [float(memory.rows[id_] @ memory.rows[1]) for id_ in expected], abs=1e-5
    )


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_a_filter_that_lets_many_pass_goes_through_the_index(
    make: Make, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.retrieval.nearest.engine.EXACT_UNDER", 10)
    memory = Memory(DIMENSIONS)
    memory.add(2000)
    engine = make(memory, kind=kind)
    engine.settle()
    within = np.array([[id_, id_ + 4] for id_ in range(1, 2000, 10)], dtype=np.int64)
    allowed = {id_ for first, last in within.tolist() for id_ in range(first, last + 1)}
    expected = [id_ for id_ in memory.exact(memory.rows[3], 2000) if id_ in allowed][:10]
    found = ids(engine.search(memory, memory.rows[3], 10, within))
    assert len(set(found) & set(expected)) >= 9
    assert set(found) <= allowed


def test_much_change_builds_a_new_index_in_the_background(make: Make, tmp_path: Path) -> None:
    memory = Memory(DIMENSIONS)
    engine = make(memory, after=100)
    memory.add(99)
    engine.follow(memory)
    assert engine._builder is None
    memory.add(1)
    engine.follow(memory)
    settled(engine)
    manifest = snapshot.read_manifest(tmp_path, "a" * 32)
    assert manifest is not None
    assert (manifest.count, manifest.generation) == (100, 1)
    memory.remove(1, 100)
    engine.follow(memory)
    settled(engine)
    assert engine.search(memory, np.ones(DIMENSIONS, dtype=np.float32), 5, None) == []
    memory.add(1)
    assert ids(engine.search(memory, memory.rows[101], 5, None)) == [101]


def test_a_large_index_is_built_anew_by_share(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(1000)
    engine = make(memory, after=10, share=0.5)
    engine.settle()
    memory.add(499)
    engine.follow(memory)
    assert engine._builder is None
    memory.remove(1, 1)
    engine.follow(memory)
    settled(engine)
    assert engine._view is not None
    assert (engine._view.tail.count, len(engine._view.dead)) == (0, 0)


def test_an_index_is_built_anew_before_the_changes_since_are_forgotten(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.retrieval.nearest.engine.MOST_CHANGES_BEHIND", 20)
    memory = Memory(DIMENSIONS)
    memory.add(1000)
    engine = make(memory, after=10, share=0.5)
    engine.settle()
    for _ in range(20):
        engine.follow(memory)
        assert engine._builder is None
        memory.add(1)
    engine.follow(memory)
    settled(engine)
    assert engine._view is not None
    assert engine._view.tail.count == 0


def test_a_source_put_back_to_an_older_state_is_followed_there(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    engine = make(memory)
    memory.add(5)
    older, rows = list(memory.log), dict(memory.rows)
    memory.add(5)
    assert len(engine.search(memory, memory.rows[1], 20, None)) == 10
    memory.log, memory.rows = older, rows
    assert sorted(ids(engine.search(memory, memory.rows[1], 20, None))) == [1, 2, 3, 4, 5]


def test_an_older_look_at_the_source_does_not_set_the_view_back(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    engine = make(memory)
    memory.add(5)
    older = copy.copy(memory)
    older.log, older.rows = list(memory.log), dict(memory.rows)
    memory.add(5)
    engine.follow(memory)
    assert len(engine.search(older, memory.rows[1], 20, None)) == 10


def test_another_opens_what_one_has_built_and_reads_only_what_came_since(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(500)
    make(memory).settle()
    memory.add(3)
    engine = make(memory)
    assert ids(engine.search(memory, memory.rows[42], 1, None)) == [42]
    assert ids(engine.search(memory, memory.rows[502], 1, None)) == [502]
    assert engine._view is not None
    assert engine._view.tail.count == 3


def test_one_takes_up_what_another_has_built_meanwhile_instead_of_building_it_again(make: Make, tmp_path: Path) -> None:
    memory = Memory(DIMENSIONS)
    one, other = make(memory, after=100), make(memory)
    memory.add(90)
    one.follow(memory)
    memory.add(20)
    other.settle()
    one.follow(memory)
    settled(one)
    assert snapshot.newest_generation(tmp_path) == 1
    assert one._view is not None
    assert one._view.tail.count == 0


def harm(path: Path) -> None:
    os.truncate(path, 100)


def of_another_history(path: Path) -> None:
    manifest = msgspec.json.decode((path.parent / snapshot.MANIFEST).read_bytes(), type=snapshot.Manifest)
    mark = msgspec.structs.replace(manifest.mark, stamp=1)
    (path.parent / snapshot.MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, mark=mark)))


@pytest.mark.parametrize("spoil", [harm, of_another_history, Path.unlink])
def test_a_spoilt_index_is_made_again_and_no_answer_is_lost(
    make: Make, tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(200)
    make(memory).settle()
    spoil(snapshot.file_of(tmp_path, 1))
    engine = make(memory, after=100)
    assert ids(engine.search(memory, memory.rows[42], 1, None)) == [42]
    assert "anew" in caplog.text
    settled(engine)
    assert ids(engine.search(memory, memory.rows[42], 1, None)) == [42]
    manifest = snapshot.read_manifest(tmp_path, "a" * 32)
    assert manifest is not None
    assert snapshot.load(tmp_path, manifest) is not None
    assert manifest.mark == memory.newest()


def test_a_list_of_changes_that_was_shortened_is_no_obstacle(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    engine = make(memory)
    memory.add(10)
    engine.follow(memory)
    memory.remove(1, 5)
    memory.add(5)
    memory.log = memory.log[-1:]
    assert sorted(ids(engine.search(memory, memory.rows[12], 20, None))) == list(range(6, 16))


def test_an_index_that_cannot_be_saved_is_used_from_memory(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(200)
    engine = make(memory)
    (tmp_path / "manifest-1.tmp").mkdir()  # where the draft of the manifest would be written
    engine.settle()
    assert "stays in memory, it was not saved" in caplog.text
    assert engine._view is not None
    assert engine._view.tail.count == 0
    assert ids(engine.search(memory, memory.rows[42], 1, None)) == [42]


def test_readers_go_on_while_it_builds_and_nothing_goes_missing(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(3000)
    engine = make(memory, after=1)
    engine.follow(memory)
    wrong: list[int] = []

    def read(start: int) -> None:
        wrong.extend(
            id_ for id_ in range(start, 3001, 40) if ids(engine.search(memory, memory.rows[id_], 1, None)) != [id_]
        )

    readers = [threading.Thread(target=read, args=(start,)) for start in (1, 2, 3)]
    for reader in readers:
        reader.start()
    engine.settle()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_only_one_process_builds_an_index_and_another_waits_its_turn(make: Make, tmp_path: Path) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(100)
    engine = make(memory, after=10)
    with FileLock(tmp_path / "rebuild.lock"):
        engine.follow(memory)
        assert engine._builder is not None
        engine._builder.join(timeout=0.5)
        assert engine._builder.is_alive()
        assert not list(tmp_path.glob("index-*"))
    settled(engine)
    assert snapshot.newest_generation(tmp_path) == 1


def test_closing_ends_the_wait_for_a_turn(make: Make, tmp_path: Path) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(100)
    engine = make(memory, after=10)
    with FileLock(tmp_path / "rebuild.lock"):
        engine.follow(memory)
        engine.close()
    assert not list(tmp_path.glob("index-*"))


def test_a_build_that_fails_is_told_of_and_tried_again_after_as_much_change(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(100)
    engine = make(memory, after=10)

    def fail(*_: object) -> None:
        raise StoreError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(memory, "count", fail)
        engine.follow(memory)
        settled(engine)
        assert "was not built: no space" in caplog.text
    assert ids(engine.search(memory, memory.rows[42], 1, None)) == [42]
    builder = engine._builder
    memory.add(99)
    engine.follow(memory)
    assert engine._builder is builder
    memory.add(1)
    engine.follow(memory)
    settled(engine)
    assert engine._view is not None
    assert engine._view.base is not None


def test_closing_stops_a_build(make: Make) -> None:
    memory = Memory(DIMENSIONS)
    memory.add(3000)
    engine = make(memory, kind="hnsw", after=1)
    engine.follow(memory)
    engine.close()
    assert engine._builder is not None
    assert not engine._builder.is_alive()
