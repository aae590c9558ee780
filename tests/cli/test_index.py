import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from headrace.cli.filling import Filling
from headrace.cli.index import app
from headrace.cli.place import TENANT, Place
from headrace.contracts.errors import Forbidden, HeadraceError, InvalidRequest, NotFound, Overloaded, StoreError
from headrace.models.store.store import HOME_VARIABLE
from headrace.retrieval.library.records import NewMember
from tests.support.library import EMBEDDER, publish_embedder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    publish_embedder(tmp_path / "home")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Cats\n\ncat cat")
    (docs / "b.txt").write_text("tax law")
    return tmp_path


def run(*args: str) -> int:
    """Return the exit code."""
    return app(args=list(args), prog_name="headrace index", standalone_mode=False) or 0


def told(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    capsys.readouterr()
    run(*args, "--json")
    return json.loads(capsys.readouterr().out)


def counts(outcome: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(outcome[word] for word in ("added", "replaced", "unchanged", "removed"))


def test_a_collection_follows_its_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = home / "docs"
    first = told(capsys, "add", "handbook", str(docs), "--attribute", "year=2024")
    assert counts(first) == (2, 0, 0, 0)
    (docs / "a.md").write_text("# Dogs\n\ndog")
    (docs / "b.txt").unlink()
    (docs / "c.txt").write_text("law")
    assert counts(told(capsys, "add", "handbook", str(docs))) == (1, 1, 0, 1)
    assert counts(told(capsys, "add", "handbook", str(docs))) == (0, 0, 2, 0)
    rows = told(capsys, "show", "handbook")
    assert sorted((row["name"], row["passages"], row["status"]) for row in rows) == [
        ("a.md", 1, "completed"),
        ("c.txt", 1, "completed"),
    ]
    assert told(capsys, "list")[0]["files"] == 2


def test_what_is_added_is_a_vector_store_of_the_default_tenant_with_its_files(home: Path) -> None:
    assert run("add", "handbook", str(home / "docs")) == 0
    place = Place.of(None)
    store = place.library.stores.named(TENANT, "handbook")
    assert store is not None
    assert store.counts.completed == 2
    with place.index(store.id) as index:
        (hit,) = index.passages([found for found, _ in index.lexical("law", 1)])
        file = place.library.files.get(TENANT, hit.document)
        assert place.library.files.path(file).read_bytes() == b"tax law"


def test_failures_are_listed_at_the_end_and_the_others_are_in(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "docs" / "x.bin").write_bytes(b"\x00\x01")
    assert run("add", "handbook", str(home / "docs")) == 1
    out, err = capsys.readouterr()
    assert "added     a.md  1 passages" in out
    assert "2 added" in out
    assert "x.bin: is binary" in err
    assert "(unsupported_file)" in err


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        (["add", "handbook", "no/such/path"], InvalidRequest),
        (["add", " ", "docs"], InvalidRequest),
        (["add", "handbook", "docs", "--chunk-tokens", "3"], InvalidRequest),
        (["add", "handbook", "docs", "--attribute", "x"], InvalidRequest),
        (["add", "handbook", "http://169.254.169.254/"], Forbidden),
        (["add", "handbook", "docs", "--embedder", "nope"], StoreError),
        (["show", "nothing"], NotFound),
        (["remove", "nothing"], NotFound),
        (["rebuild", "nothing"], NotFound),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], kind: type[HeadraceError]
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(kind):
        run(*args)
    assert "\n" not in str(kind)


def test_documents_are_removed_by_name_or_id(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "handbook", str(home / "docs"))
    (first, second) = told(capsys, "show", "handbook")
    with pytest.raises(NotFound, match="nope"):
        run("remove", "handbook", first["name"], "nope")
    assert told(capsys, "remove", "handbook", first["name"]) == [{"removed": first["name"]}]
    run("remove", "handbook", second["id"])
    capsys.readouterr()
    run("show", "handbook")
    assert "holds no documents" in capsys.readouterr().out


def test_a_collection_is_removed_with_its_own_files_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "handbook", str(home / "docs"))
    place = Place.of(None)
    uploaded = place.library.files.keep(TENANT, "mine.txt", b"cat")
    store = place.store("handbook")
    place.library.shelves.adopt(TENANT, store.id, NewMember(uploaded.id), 1)
    run("remove", "handbook")
    assert place.find("handbook") is None
    assert not place.library.collection(store.id).exists()
    assert place.library.files.get(TENANT, uploaded.id)
    assert len(list((home / "home" / "retrieval" / "files").iterdir())) == 1
    capsys.readouterr()
    run("list")
    assert "no collections" in capsys.readouterr().out


def test_another_embedder_is_refused_until_the_collection_is_rebuilt(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "handbook", str(home / "docs"), "--attribute", "year=2024")
    before = told(capsys, "show", "handbook")
    publish_embedder(home / "home", EMBEDDER, max_tokens=48)
    with pytest.raises(StoreError, match="headrace index rebuild"):
        run("add", "handbook", str(home / "docs"))
    assert counts(told(capsys, "rebuild", "handbook")) == (2, 0, 0, 0)
    assert told(capsys, "show", "handbook") == before
    assert counts(told(capsys, "add", "handbook", str(home / "docs"))) == (0, 0, 2, 0)


def test_a_rebuild_that_fails_leaves_all_as_it_was(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "handbook", str(home / "docs"))
    before = told(capsys, "show", "handbook")
    place = Place.of(None)
    record = place.library.files.get(TENANT, before[0]["id"])
    place.library.files.path(record).write_bytes(b"\x00")
    assert run("rebuild", "handbook") == 1
    assert told(capsys, "show", "handbook") == before


def test_two_commands_do_not_change_a_collection_at_once(home: Path) -> None:
    run("add", "handbook", str(home / "docs"))
    place = Place.of(None)
    folder = place.library.collection(place.store("handbook").id)
    with FileLock(f"{folder}.lock"), pytest.raises(Overloaded, match="another command"):
        run("add", "handbook", str(home / "docs"))


def test_an_interrupted_ingest_says_how_to_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Filling, "run", interrupt)
    assert run("add", "handbook", str(home / "docs")) == 130
    assert "the same command goes on" in capsys.readouterr().err
