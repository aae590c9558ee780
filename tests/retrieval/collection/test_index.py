"""What any index promises, whichever engine finds its nearest vectors."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest, StoreError
from headrace.contracts.retrieval import Compare, Compound, Index
from headrace.retrieval.collection import reading
from headrace.retrieval.collection.index import Collection
from headrace.retrieval.collection.open import EngineName, IndexOptions, open_index
from tests.support.collections import DIMENSIONS, EMBEDDER, document, turned, vector
from tests.support.qdrant_server import Server, running

ENGINES = ("faiss", "qdrant embedded", "qdrant server")
Opener = Callable[[], Collection]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(params=ENGINES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    indexes: list[Collection] = []
    engine: EngineName = "faiss" if request.param == "faiss" else "qdrant"
    url = request.getfixturevalue("server").url if request.param == "qdrant server" else None

    def opener() -> Collection:
        options = IndexOptions(engine=engine, url=url)
        indexes.append(open_index(tmp_path / "handbook", EMBEDDER, create=True, options=options))
        return indexes[-1]

    yield opener
    for index in indexes:
        index.close()


@pytest.fixture
def index(opened: Opener) -> Collection:
    return opened()


def ids_of(index: Index, found: list[tuple[int, float]]) -> list[str]:
    return [passage.document for passage in index.passages([id_ for id_, _ in found])]


def test_what_was_put_is_told_found_and_shown(index: Index) -> None:
    index.put(
        document("a", ["Leave is thirty days.", "Ask early."], {"year": 2024}, heading="Leave"), [turned(0), turned(90)]
    )
    (info,) = index.documents()
    assert (info.id, info.name, info.chunks, info.attributes) == ("a", "a.md", 2, {"year": 2024})
    assert info.bytes == len("Leave is thirty days.\nAsk early.") + 2 * DIMENSIONS * 4
    assert index.text("a") == "Leave is thirty days.\nAsk early."
    (passage,) = index.passages([index.dense(turned(80), 1)[0][0]])
    assert (passage.text, passage.start, passage.end, passage.heading) == ("Ask early.", 22, 32, "Leave")
    assert passage.attributes == {"year": 2024}
    assert ids_of(index, index.lexical("days of leave", 5)) == ["a", "a"]


def test_nearest_comes_first_with_its_cosine(index: Index) -> None:
    for name, degrees in {"far": 90, "near": 10, "middle": 60}.items():
        index.put(document(name, [name]), [turned(degrees)])
    found = index.dense(turned(0), 2)
    assert ids_of(index, found) == ["near", "middle"]
    assert [score for _, score in found] == pytest.approx([0.98481, 0.5], abs=1e-4)


def test_a_vector_of_any_length_counts_by_its_direction(index: Index) -> None:
    index.put(document("a", ["x"]), [vector(1)])
    long = bytes.fromhex("00007a44") + bytes(4 * (DIMENSIONS - 1))  # 1000.0, 0, 0, 0
    assert index.dense(long, 1)[0][1] == pytest.approx(1.0, abs=1e-6)


def test_put_replaces_a_document_as_a_whole(index: Index) -> None:
    index.put(document("a", ["old words", "old too"], {"x": 1}), [turned(0), turned(10)])
    (old, _) = index.dense(turned(0), 1)[0]
    index.put(document("a", ["new words"], {"y": 2}), [turned(20)])
    assert index.lexical("old", 5) == []
    assert [passage.text for passage in index.passages([id_ for id_, _ in index.dense(turned(0), 5)])] == ["new words"]
    assert index.passages([old]) == []
    assert [info.attributes for info in index.documents()] == [{"y": 2}]
    assert index.dense(turned(0), 5, Compare("x", "eq", 1)) == []


def test_removed_is_gone_everywhere_and_its_ids_never_return(index: Index) -> None:
    index.put(document("a", ["one"]), [turned(0)])
    (gone, _) = index.dense(turned(0), 1)[0]
    assert index.remove("a")
    assert not index.remove("a")
    assert (index.dense(turned(0), 5), index.lexical("one", 5), index.text("a"), list(index.documents())) == (
        [],
        [],
        None,
        [],
    )
    index.put(document("b", ["two"]), [turned(0)])
    assert index.dense(turned(0), 1)[0][0] > gone


def test_a_document_without_passages_is_kept(index: Index) -> None:
    index.put(document("empty", []), [])
    assert [info.chunks for info in index.documents()] == [0]
    assert index.dense(turned(0), 5, Compare("x", "ne", 1)) == []
    assert index.remove("empty")


def test_documents_come_in_the_order_of_their_ids_over_many_pages(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 3)
    for name in "kcgaehdbfj":
        index.put(document(name, []), [])
    assert "".join(info.id for info in index.documents()) == "abcdefghjk"


def test_a_filter_is_applied_before_the_search_not_after(index: Index) -> None:
    for number in range(40):
        index.put(document(f"d{number}", ["the same word"], {"last": number == 39}), [turned(number)])
    where = Compare("last", "eq", value=True)
    assert ids_of(index, index.dense(turned(0), 1, where)) == ["d39"]
    assert ids_of(index, index.lexical("word", 1, where)) == ["d39"]


def test_annotating_changes_what_filters_see_and_nothing_else(index: Index) -> None:
    index.put(document("a", ["word"], {"state": "draft"}), [turned(0)])
    assert index.annotate("a", {"state": "final"})
    assert not index.annotate("b", {})
    assert index.dense(turned(0), 1, Compare("state", "eq", "draft")) == []
    assert ids_of(index, index.dense(turned(0), 1, Compare("state", "eq", "final"))) == ["a"]
    assert [info.attributes for info in index.documents()] == [{"state": "final"}]


def test_ands_and_ors_nest(index: Index) -> None:
    for name, attributes in {"a": {"x": 1, "y": "p"}, "b": {"x": 2, "y": "p"}, "c": {"x": 3}}.items():
        index.put(document(name, ["word"], attributes), [turned(0)])
    either = Compound("or", (Compare("x", "gte", 3), Compound("and", (Compare("y", "eq", "p"), Compare("x", "lt", 2)))))
    assert sorted(ids_of(index, index.dense(turned(0), 5, either))) == ["a", "c"]
    assert sorted(ids_of(index, index.lexical("word", 5, either))) == ["a", "c"]


def test_nothing_is_found_in_nothing(index: Index) -> None:
    assert (index.dense(turned(0), 5), index.lexical("word", 5), index.passages([1, 2]), index.text("a")) == (
        [],
        [],
        [],
        None,
    )


def test_asking_for_none_gives_none(index: Index) -> None:
    index.put(document("a", ["word"]), [turned(0)])
    assert (index.dense(turned(0), 0), index.lexical("word", 0)) == ([], [])


def test_everything_is_there_after_opening_again(opened: Opener) -> None:
    index = opened()
    for number in range(30):
        index.put(document(f"d{number}", [f"word{number}"], {"n": number}), [turned(number)])
    index.remove("d0")
    before = index.dense(turned(0), 10), index.lexical("word7", 5), list(index.documents())
    index.close()
    again = opened()
    assert (again.dense(turned(0), 10), again.lexical("word7", 5), list(again.documents())) == before


def test_settling_changes_no_answer(index: Collection) -> None:
    for number in range(30):
        index.put(document(f"d{number}", [f"word{number}"]), [turned(number)])
    index.remove("d3")
    before = index.dense(turned(0), 40)
    index.settle()
    assert index.dense(turned(0), 40) == before
    index.put(document("last", ["word"]), [turned(300)])
    assert ids_of(index, index.dense(turned(300), 1)) == ["last"]


def test_one_sees_what_another_has_written(opened: Opener) -> None:
    writer, reader = opened(), opened()
    writer.put(document("a", ["word"]), [turned(0)])
    assert ids_of(reader, reader.dense(turned(0), 1)) == ["a"]
    writer.put(document("b", ["word"]), [turned(0)])
    writer.remove("a")
    assert ids_of(reader, reader.dense(turned(0), 5)) == ["b"]
    assert ids_of(reader, reader.lexical("word", 5)) == ["b"]


def test_threads_write_and_search_at_once(index: Index) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(15):
                index.put(document(f"{name}{number}", [f"word {name}"]), [turned(number)])
                index.dense(turned(number), 5)
                index.lexical(name, 5)
                if number % 3 == 0:
                    index.remove(f"{name}{number}")
        except BaseException as exc:
            failures.append(exc)
            raise

    threads = [threading.Thread(target=work, args=(name,)) for name in ("red", "green", "blue")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list(index.documents())) == 30
    assert len(index.dense(turned(0), 100)) == len(index.lexical("word", 100)) == 30


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([], "has 1 chunks and 0 vectors"),
        ([b"\0" * 8], "vector 0 has 8 bytes, this collection's have 16"),
        ([bytes(16)], r"vector 0 has length 0\.0"),
        ([b"\xff" * 16], "vector 0 has length nan"),
    ],
)
def test_vectors_that_cannot_be_are_refused_and_nothing_changes(
    index: Index, vectors: list[bytes], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        index.put(document("a", ["word"]), vectors)
    assert list(index.documents()) == []


def test_half_a_surrogate_pair_is_refused(index: Index) -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        index.put(document("a", ["\ud800"]), [turned(0)])
    with pytest.raises(InvalidRequest, match="attribute 'x'"):
        index.put(document("a", ["b"], {"x": "\ud800"}), [turned(0)])
    assert list(index.documents()) == []


def test_text_keeps_nul_emoji_and_every_line_ending(index: Index) -> None:
    strange = "a\0b \N{GRINNING FACE} c\r\nd\u2028e"
    index.put(document("a", [strange]), [turned(0)])
    assert index.text("a") == strange
    assert index.passages([index.lexical("d", 1)[0][0]])[0].text == strange


def test_a_closed_index_says_so(index: Index) -> None:
    index.close()
    with pytest.raises(StoreError, match="collection 'handbook' is closed; open it again"):
        index.lexical("word", 1)
    index.close()
