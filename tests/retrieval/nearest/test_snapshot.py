import logging
import os
from collections.abc import Callable
from pathlib import Path

import faiss
import msgspec
import pytest

from headrace.retrieval.nearest import kinds, snapshot
from headrace.retrieval.nearest.choice import KINDS, Kind
from headrace.retrieval.nearest.snapshot import Manifest
from tests.support.vectors import Memory

IDENTITY = "a" * 32


def saved(folder: Path, kind: Kind = "flat", *, count: int = 300, generation: int = 1) -> tuple[Memory, Manifest]:
    memory = Memory(8, seed=generation)
    memory.add(count)
    index = kinds.empty(kind, count, 8)
    for _ in kinds.fill(index, memory):
        pass
    manifest = Manifest(
        format=snapshot.FORMAT,
        identity=IDENTITY,
        generation=generation,
        sha256="",
        bytes=0,
        mark=memory.newest(),
        last_id=memory.last_id(),
        kind=kind,
        count=count,
        dimensions=8,
    )
    return memory, snapshot.save(folder, index, manifest)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_is_loaded_and_finds_the_same(tmp_path: Path, kind: Kind) -> None:
    memory, manifest = saved(tmp_path, kind)
    assert snapshot.read_manifest(tmp_path, IDENTITY) == manifest
    base = snapshot.load(tmp_path, manifest)
    assert base is not None
    ids, _ = kinds.search(base.index, memory.rows[7], 3, None, 1.0)
    assert ids[0] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index-1.faiss", "manifest.json"]


def test_no_manifest_is_no_index_and_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert snapshot.read_manifest(tmp_path, IDENTITY) is None
    assert not caplog.records


def damaged_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def of_another(path: Path) -> None:
    other = path.parent / "other"
    other.mkdir()
    saved(other, generation=2)
    snapshot.file_of(other, 2).replace(path)


@pytest.mark.parametrize("harm", [damaged_byte, cut_short, of_another, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_is_not_what_was_saved_is_never_opened(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest = saved(tmp_path)
    harm(snapshot.file_of(tmp_path, 1))
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("opened"))
    assert snapshot.load(tmp_path, manifest) is None
    assert "is built anew from its database: index-1.faiss" in caplog.text


def test_a_file_with_the_right_checksum_that_is_no_index_is_refused(tmp_path: Path) -> None:
    _, manifest = saved(tmp_path)
    path = snapshot.file_of(tmp_path, 1)
    path.write_bytes(b"nonsense" * 100)
    forged = msgspec.structs.replace(manifest, sha256=snapshot._sha256(path), bytes=800)
    assert snapshot.load(tmp_path, forged) is None


def test_an_index_of_another_size_than_told_is_refused(tmp_path: Path) -> None:
    _, manifest = saved(tmp_path)
    assert snapshot.load(tmp_path, msgspec.structs.replace(manifest, count=299)) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b'{"format": 1}', "cannot be read"),
        (b"\x80\x04.", "cannot be read"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    tmp_path: Path, content: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / snapshot.MANIFEST).write_bytes(content)
    assert snapshot.read_manifest(tmp_path, IDENTITY) is None
    assert why in caplog.text


@pytest.mark.parametrize(
    ("changed", "why"), [({"format": 99}, "format 99"), ({"identity": "b" * 32}, "another collection")]
)
def test_a_manifest_of_another_format_or_collection_is_refused(
    tmp_path: Path, changed: dict[str, object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, manifest = saved(tmp_path)
    told = msgspec.to_builtins(manifest) | changed
    (tmp_path / snapshot.MANIFEST).write_bytes(msgspec.json.encode(told))
    assert snapshot.read_manifest(tmp_path, IDENTITY) is None
    assert why in caplog.text


def test_a_save_without_room_leaves_what_was_published(tmp_path: Path) -> None:
    _, manifest = saved(tmp_path)
    (tmp_path / "index-2.tmp").mkdir()  # where the draft of the next generation would be written
    with pytest.raises((OSError, RuntimeError)):
        saved(tmp_path, generation=2)
    assert snapshot.read_manifest(tmp_path, IDENTITY) == manifest
    assert snapshot.load(tmp_path, manifest) is not None


def test_sweeping_leaves_one_generation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    saved(tmp_path)
    _, manifest = saved(tmp_path, generation=2)
    (tmp_path / "index-3.tmp").touch()
    (tmp_path / "manifest-3.tmp").touch()
    (tmp_path / "collection.sqlite").touch()
    snapshot.sweep(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection.sqlite", "index-2.faiss", "manifest.json"]
    assert snapshot.load(tmp_path, manifest) is not None
    assert not caplog.records


def test_generations_count_on_from_any_file(tmp_path: Path) -> None:
    assert snapshot.newest_generation(tmp_path) == 0
    for name in ("index-3.faiss", "index-11.tmp", "index-x.faiss"):
        (tmp_path / name).touch()
    assert snapshot.newest_generation(tmp_path) == 11
