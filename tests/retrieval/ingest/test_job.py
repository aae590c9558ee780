from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Attributes, DocumentInfo
from headrace.retrieval.chunk.sizes import Sizes
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.ingest.job import PATH, SOURCE, Job, Parts, Prepared, Step, gone, of_source
from headrace.retrieval.ingest.sources import Item, Source, failed, from_bytes, open_path
from tests.support.counting import word_tokens, write_word_tokens


class Counted:
    """Vectors that tell how many texts were embedded."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.calls.append(list(texts))
        return [text.encode()[:4] for text in texts]


class Kept:
    """A shelf in memory."""

    def __init__(self) -> None:
        self.held: dict[str, Prepared] = {}
        self.made = 0

    def documents(self) -> Iterator[DocumentInfo]:
        for key, one in self.held.items():
            yield DocumentInfo(
                key, one.converted.name, one.converted.sha256, len(one.chunks), 0, 0.0, attributes=one.attributes
            )

    def keep(self, prepared: Prepared, replaces: Sequence[str]) -> None:
        self.made += 1
        self.held[prepared.document or f"file-{self.made}"] = prepared
        for old in replaces:
            self.remove(old)

    def remove(self, document: str) -> None:
        del self.held[document]


@pytest.fixture(scope="module")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    with Converter(embedder=write_word_tokens(tmp_path_factory.mktemp("embedder"))) as made:
        yield made


class Desk:
    def __init__(self, converter: Converter) -> None:
        self.shelf, self.embed, self.steps = Kept(), Counted(), list[Step]()
        self._converter = converter

    def job(self, attributes: Attributes | None = None, sizes: Sizes | None = None) -> Job:
        parts = Parts(self._converter, word_tokens(), self.embed, self.shelf, sizes or Sizes(32, 4), attributes or {})
        return Job(parts, self.steps.append)

    def run(self, *sources: Source, attributes: Attributes | None = None) -> dict[str, str]:
        self.steps.clear()
        self.job(attributes).run(sources)
        return {step.name: step.outcome for step in self.steps}


@pytest.fixture
def desk(converter: Converter) -> Desk:
    return Desk(converter)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.md").write_text("# Alpha\n\nfirst words")
    (folder / "deep" / "b.txt").write_text("second words")
    return folder


def test_a_second_run_does_nothing(desk: Desk, docs: Path) -> None:
    assert desk.run(open_path(str(docs))) == {"a.md": "added", "deep/b.txt": "added"}
    assert desk.embed.calls == [["Alpha\n# Alpha\n\nfirst words", "second words"]]
    assert desk.run(open_path(str(docs))) == {"a.md": "unchanged", "deep/b.txt": "unchanged"}
    assert len(desk.embed.calls) == 1


def test_changed_is_replaced_and_gone_is_removed(desk: Desk, docs: Path) -> None:
    desk.run(open_path(str(docs)))
    (docs / "a.md").write_text("other words")
    (docs / "deep" / "b.txt").unlink()
    assert desk.run(open_path(str(docs))) == {"a.md": "replaced", "deep/b.txt": "removed"}
    assert [one.converted.text for one in desk.shelf.held.values()] == ["other words"]


def test_a_failure_is_told_and_the_rest_goes_on(desk: Desk, docs: Path) -> None:
    (docs / "0.bin").write_bytes(b"\x00\x01")
    (docs / "empty.txt").write_bytes(b"")
    found = desk.run(open_path(str(docs)))
    assert found == {"0.bin": "failed", "a.md": "added", "deep/b.txt": "added", "empty.txt": "failed"}
    assert {step.code for step in desk.steps if step.outcome == "failed"} == {"unsupported_file", "empty_file"}


def test_what_fails_today_stays_as_it_was(desk: Desk, docs: Path) -> None:
    desk.run(open_path(str(docs)))
    (docs / "a.md").write_bytes(b"\x00")
    assert desk.run(open_path(str(docs)))["a.md"] == "failed"
    assert len(desk.shelf.held) == 2


def test_other_sources_and_other_patterns_are_left_alone(desk: Desk, docs: Path, tmp_path: Path) -> None:
    desk.run(open_path(str(docs)), from_bytes(b"typed", "note.txt", "stdin"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.txt").write_text("third")
    (docs / "a.md").unlink()
    found = desk.run(open_path(str(tmp_path / "more")), open_path(str(docs), "*.txt"))
    assert found == {"c.txt": "added", "deep/b.txt": "unchanged"}
    assert len(desk.shelf.held) == 4
    assert desk.run(failed("x", "stdin", InvalidRequest("no", code="unreadable_file"))) == {"x": "failed"}
    assert len(desk.shelf.held) == 4


def test_documents_under_a_folder_that_cannot_be_read_stay(desk: Desk, docs: Path) -> None:
    whole = open_path(str(docs))
    desk.run(whole)
    locked = failed("deep", whole.label, InvalidRequest("denied", code="unreadable_file")).items[0]
    hiding = Source(whole.label, (whole.items[0], Item("deep", locked.read, hides=True)), whole.holds)
    assert desk.run(hiding) == {"a.md": "unchanged", "deep": "failed"}
    assert len(desk.shelf.held) == 2


def test_what_a_killed_run_left_double_is_made_one(desk: Desk, docs: Path) -> None:
    desk.run(open_path(str(docs)))
    desk.shelf.held["file-old"] = desk.shelf.held["file-1"]
    assert desk.run(open_path(str(docs)))["a.md"] == "replaced"
    assert len(desk.shelf.held) == 2


def test_attributes_say_where_a_document_is_from(desk: Desk, docs: Path) -> None:
    desk.run(open_path(str(docs)), attributes={"year": 2024})
    attributes = desk.shelf.held["file-1"].attributes
    assert attributes == {"year": 2024, PATH: "a.md", SOURCE: open_path(str(docs)).label}


def test_a_document_that_was_one_before_keeps_its_id_and_attributes(desk: Desk) -> None:
    item = Item("a.txt", lambda _: b"text", document="file-9", attributes={"x": 1})
    desk.run(Source("vs", (item,), lambda _: False), attributes={"y": 2})
    assert desk.shelf.held["file-9"].attributes == {"x": 1}


def test_stopping_keeps_what_is_done_and_removes_nothing(desk: Desk, docs: Path) -> None:
    desk.run(open_path(str(docs)))
    (docs / "a.md").unlink()
    job = desk.job()
    job.stop()
    job.run([open_path(str(docs))])
    assert len(desk.shelf.held) == 2


def test_a_stop_while_embedding_keeps_nothing_of_that_batch(desk: Desk, docs: Path) -> None:
    (docs / "long.txt").write_text("A few words here. " * 3000)
    job = desk.job()
    embed = desk.embed.embed

    def stop_then(texts: Sequence[str]) -> list[bytes]:
        job.stop()
        return embed(texts)

    desk.embed.embed = stop_then  # type: ignore[method-assign]
    job.run([open_path(str(docs))])
    assert desk.shelf.held == {}
    assert len(desk.embed.calls) == 1


def test_sizes_that_make_no_sense_are_said_before_anything_is_read(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="too small"):
        desk.job(sizes=Sizes(3, 0))


def test_documents_of_others_are_not_of_a_source() -> None:
    infos = [
        DocumentInfo("1", "a", "0", 1, 1, 0.0, {PATH: "a", SOURCE: "here"}),
        DocumentInfo("2", "a", "0", 1, 1, 0.0, {PATH: "a", SOURCE: "there"}),
        DocumentInfo("3", "a", "0", 1, 1, 0.0, {}),
    ]
    known = of_source(infos, "here")
    assert [info.id for info in known["a"]] == ["1"]
    assert [info.id for info in gone(known, Source("here", (), lambda _: True))] == ["1"]
