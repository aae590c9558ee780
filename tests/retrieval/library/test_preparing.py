import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from headrace.contracts.errors import BackendError, BackendUnavailable, InvalidRequest
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.library.preparing import PAUSES_S, FilePreparer
from headrace.retrieval.library.records import Chunking, FileRecord, Work
from tests.support.stores import CATS, DOGS, TinyEmbedder, embedder_in
from tests.support.tiny_embedding import write_model


class Pauses:
    """Counts how long it would have been waited; calls `then` at each."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.back_after = 10**6
        self.embedder: TinyEmbedder | None = None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self.embedder is not None and len(self.seconds) >= self.back_after:
            self.embedder.is_away = False


@pytest.fixture
def embedder(tmp_path: Path) -> TinyEmbedder:
    return embedder_in(tmp_path)


@pytest.fixture
def pauses(embedder: TinyEmbedder) -> Pauses:
    pauses = Pauses()
    pauses.embedder = embedder
    return pauses


@pytest.fixture
async def preparer(embedder: TinyEmbedder, pauses: Pauses) -> AsyncIterator[FilePreparer]:
    preparer = FilePreparer(
        Converter(embedder=embedder.folder), partial(Tokens.load, embedder.folder), embedder, pause=pauses
    )
    yield preparer
    await preparer.close()


def work(name: str = "a.txt", tenant: str = "a", chunking: Chunking | None = None) -> Work:
    record = FileRecord("file-1", tenant, name, "assistants", 1, "0" * 64, 0)
    return Work(1, "vs_1", record, {}, chunking or Chunking())


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "blob"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


async def test_a_file_is_converted_cut_and_embedded(
    preparer: FilePreparer, embedder: TinyEmbedder, tmp_path: Path
) -> None:
    path = written(tmp_path, f"# Cats\n\n{CATS}\n\n# Dogs\n\n{DOGS}\n\n" + "The cat and the dog. " * 60)
    prepared = await preparer.prepare(work("pets.md", chunking=Chunking(100, 10)), path)
    document = prepared.document
    assert (document.id, document.name, document.sha256) == ("file-1", "pets.md", "0" * 64)
    assert len(document.chunks) == len(prepared.vectors) >= 3
    assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in document.chunks)
    assert max(chunk.tokens for chunk in document.chunks) <= 100
    assert prepared.bytes == len(document.text.encode()) + 16 * len(prepared.vectors)
    assert len(embedder.texts) == len(prepared.vectors)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"\x00\x01\xfe\xff" * 64, "unsupported_file"), (b"%PDF-1.7 broken", "invalid_file"), (b" \n ", "empty_file")],
)
async def test_a_file_that_cannot_be_read_says_why(
    preparer: FilePreparer, tmp_path: Path, content: bytes, code: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await preparer.prepare(work("a.pdf" if content.startswith(b"%PDF") else "a.bin"), written(tmp_path, content))
    assert refused.value.code == code
    path = written(tmp_path, CATS)
    assert (await preparer.prepare(work(), path)).document.text == CATS


async def test_files_of_two_tenants_never_meet_in_one_process(preparer: FilePreparer, tmp_path: Path) -> None:
    path = written(tmp_path, CATS)

    def process() -> int:
        (running,) = preparer._converter._processes.values()
        return running._child.pid

    await preparer.prepare(work(tenant="a"), path)
    first = process()
    await preparer.prepare(work(tenant="a"), path)
    assert process() == first
    await preparer.prepare(work(tenant="b"), path)
    assert process() != first


async def test_an_embedder_that_is_away_for_a_while_is_waited_for(
    preparer: FilePreparer, embedder: TinyEmbedder, pauses: Pauses, tmp_path: Path
) -> None:
    embedder.is_away, pauses.back_after = True, 3
    prepared = await preparer.prepare(work(), written(tmp_path, CATS))
    assert len(prepared.vectors) == 1
    assert pauses.seconds == list(PAUSES_S[:3])


async def test_an_embedder_that_stays_away_is_given_up(
    preparer: FilePreparer, embedder: TinyEmbedder, pauses: Pauses, tmp_path: Path
) -> None:
    embedder.is_away = True
    with pytest.raises(BackendUnavailable):
        await preparer.prepare(work(), written(tmp_path, CATS))
    assert pauses.seconds == list(PAUSES_S)


async def test_a_passage_the_embedder_refuses_is_not_the_files_fault(embedder: TinyEmbedder, tmp_path: Path) -> None:
    wider = tmp_path / "wider"
    wider.mkdir()
    write_model(wider, max_tokens=10_000)
    preparer = FilePreparer(Converter(embedder=wider), partial(Tokens.load, wider), embedder)
    with pytest.raises(BackendError, match="refused a passage"):
        await preparer.prepare(work(chunking=Chunking(4_000, 0)), written(tmp_path, "cat " * 3_000))
    await preparer.close()


async def test_what_is_cancelled_stops_and_the_next_file_is_not_harmed(preparer: FilePreparer, tmp_path: Path) -> None:
    path = written(tmp_path, "cat and dog. " * 20_000)
    task = asyncio.ensure_future(preparer.prepare(work(), path))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    small = tmp_path / "small"
    small.write_text(CATS)
    assert (await preparer.prepare(work(), small)).document.text == CATS
