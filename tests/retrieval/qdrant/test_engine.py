from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from headrace.contracts.errors import EngineError
from headrace.retrieval.collection.open import IndexOptions, open_index
from headrace.retrieval.qdrant import engine as module
from headrace.retrieval.qdrant.engine import QdrantEngine
from tests.support.collections import EMBEDDER, document, turned
from tests.support.qdrant_server import Server, running
from tests.support.vectors import Memory

Make = Callable[..., QdrantEngine]


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def memory() -> Memory:
    memory = Memory(8)
    memory.add(40)
    return memory


@pytest.fixture
def make(tmp_path: Path, memory: Memory) -> Iterator[Make]:
    engines: list[QdrantEngine] = []

    def making(url: str | None, api_key: str | None = None) -> QdrantEngine:
        engine = QdrantEngine(
            tmp_path, identity="a" * 32, dimensions=8, sources=memory, url=url, api_key=api_key, timeout_s=5
        )
        engines.append(engine)
        return engine

    yield making
    for engine in engines:
        engine.close()


def nearest(engine: QdrantEngine, memory: Memory, id_: int, *within: tuple[int, int]) -> list[int]:
    limits = np.array(within, dtype=np.int64) if within else None
    return [found for found, _ in engine.search(memory, memory.rows[id_], 5, limits)]


@pytest.mark.parametrize("is_embedded", [True, False])
def test_it_finds_what_comparing_all_finds(make: Make, memory: Memory, server: Server, *, is_embedded: bool) -> None:
    engine = make(None if is_embedded else server.url)
    for id_ in (1, 20, 40):
        assert nearest(engine, memory, id_) == memory.exact(memory.rows[id_], 5)
    assert nearest(engine, memory, 1, (3, 4), (30, 30)) == sorted(
        (3, 4, 30), key=lambda id_: -float(memory.rows[id_] @ memory.rows[1])
    )


def test_only_what_changed_is_sent(make: Make, memory: Memory, server: Server) -> None:
    engine = make(server.url)
    engine.follow(memory)
    server.requests.clear()
    engine.follow(memory)
    assert server.requests == []
    memory.add(1)
    memory.remove(2, 3)
    assert nearest(engine, memory, 41)[0] == 41
    sent = [(method, path.rsplit("/", 1)[-1]) for method, path in server.requests if "/points" in path]
    assert sent == [("POST", "delete"), ("PUT", "points"), ("POST", "query")]


def test_another_process_goes_on_where_one_stopped(make: Make, memory: Memory, server: Server) -> None:
    make(server.url).follow(memory)
    server.requests.clear()
    assert nearest(make(server.url), memory, 7)[0] == 7
    assert ("PUT", "points") not in [(method, path.rsplit("/", 1)[-1]) for method, path in server.requests]


def test_a_server_that_forgot_is_filled_anew(make: Make, memory: Memory, server: Server) -> None:
    engine = make(server.url)
    engine.follow(memory)
    server.empty()
    assert nearest(engine, memory, 7) == memory.exact(memory.rows[7], 5)


def test_a_server_of_another_history_is_filled_anew(
    make: Make, memory: Memory, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    make(server.url).follow(memory)
    (collection,) = server.data.get_collections().collections
    server.data.update_collection(collection.name, metadata={"stamp": 5})
    server.data.delete(collection.name, points_selector=[7])
    assert nearest(make(server.url), memory, 7) == memory.exact(memory.rows[7], 5)
    assert "sent to Qdrant anew" in caplog.text


def test_sending_that_was_cut_short_is_done_again(
    make: Make, memory: Memory, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SENT_AT_ONCE", 10)
    batches = memory.batches

    def breaking(size: int, after: int = 0) -> Iterator[object]:
        for place, batch in enumerate(batches(size, after)):
            server.failing = place == 2
            yield batch

    engine = make(server.url)
    with monkeypatch.context() as patched:
        patched.setattr(memory, "batches", breaking)
        with pytest.raises(EngineError, match="500"):
            engine.follow(memory)
    server.failing = False
    memory.remove(1, 5)
    assert nearest(engine, memory, 30) == memory.exact(memory.rows[30], 5)
    (collection,) = server.data.get_collections().collections
    assert server.data.count(collection.name).count == 35


def test_a_server_that_is_down_is_named_and_comes_back(make: Make, memory: Memory) -> None:
    with running() as server:
        engine = make(server.url)
        engine.follow(memory)
        port = server.server_address[1]
    memory.add(1)
    with pytest.raises(EngineError, match=rf"Qdrant at http://127\.0\.0\.1:{port} failed for collection"):
        engine.follow(memory)
    with running(port):
        assert nearest(engine, memory, 41)[0] == 41


def test_the_key_is_sent(make: Make, memory: Memory, server: Server) -> None:
    with pytest.warns(UserWarning, match="insecure"):
        engine = make(server.url, "s3cret")
    engine.follow(memory)
    assert server.keys == {"s3cret"}


def test_one_process_sends_at_a_time(
    make: Make, memory: Memory, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    engine = make(server.url)
    with FileLock(tmp_path / "qdrant.lock"), pytest.raises(EngineError, match="still being sent to Qdrant by another"):
        engine.follow(memory)
    engine.follow(memory)


def test_nonsense_in_the_metadata_is_another_history(make: Make, memory: Memory, server: Server) -> None:
    make(server.url).follow(memory)
    (collection,) = server.data.get_collections().collections
    server.data.update_collection(collection.name, metadata={"seq": "nonsense"})
    assert nearest(make(server.url), memory, 7)[0] == 7


def test_what_is_put_while_the_server_is_down_is_kept_and_sent_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as server:
        port, options = server.server_address[1], IndexOptions(engine="qdrant", url=server.url)
    index = open_index(tmp_path / "handbook", EMBEDDER, create=True, options=options)
    index.put(document("a", ["word"]), [turned(0)])
    assert "vectors of collection handbook lag behind" in caplog.text
    assert [info.id for info in index.documents()] == ["a"]
    with pytest.raises(EngineError, match="see that it runs"):
        index.dense(turned(0), 1)
    with running(port):
        assert [score for _, score in index.dense(turned(0), 1)] == pytest.approx([1.0])
        index.close()
