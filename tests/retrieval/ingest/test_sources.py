import io
import os
from pathlib import Path

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.sources import failed, from_stream, matches, open_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    for name in ("b.md", "a.txt", "guide/z.md", "guide/deep/y.md", ".git/config", ".hidden.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    return root


def test_a_folder_is_walked_in_order_without_links_pipes_and_hidden_names(folder: Path) -> None:
    source = open_path(str(folder))
    assert [item.name for item in source.items] == ["a.txt", "b.md", "guide/deep/y.md", "guide/z.md"]
    assert source.items[3].read(Limits()) == b"guide/z.md"
    assert source.holds("anything")


def test_a_pattern_narrows_a_folder_and_what_may_be_missed_in_it(folder: Path) -> None:
    source = open_path(str(folder), "*.md")
    assert [item.name for item in source.items] == ["b.md", "guide/deep/y.md", "guide/z.md"]
    assert source.holds("gone.md")
    assert not source.holds("gone.txt")


def test_a_glob_stands_for_the_folder_in_front_of_it(folder: Path) -> None:
    names = [item.name for item in open_path(str(folder / "guide" / "**" / "*.md")).items]
    assert names == ["deep/y.md", "z.md"]
    assert [item.name for item in open_path(str(folder / "*.md")).items] == ["b.md"]
    assert open_path(str(folder / "*.md")).label == open_path(str(folder)).label


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("a/b.md", "*.md", True),
        ("a/b.md", "a/*.md", True),
        ("a/b/c.md", "a/*.md", False),
        ("a/b/c.md", "a/**/*.md", True),
        ("a/c.md", "a/**/*.md", True),
        ("c.md", "**/*.md", True),
        ("b/c.md", "./*.md", False),
        ("a/b/c.md", "a/**", True),
        ("x1.md", "x[0-9].md", True),
        ("a+b/c.md", "a+b/c.m?", True),
    ],
)
def test_a_star_stays_within_a_folder_and_two_do_not(name: str, pattern: str, *, fits: bool) -> None:
    assert matches(name, pattern) is fits


def test_a_single_file_is_a_source_of_its_own(folder: Path) -> None:
    source = open_path(str(folder / "a.txt"))
    assert [item.name for item in source.items] == ["a.txt"]
    assert source.holds("a.txt")
    assert not source.holds("b.md")


def test_a_link_that_is_named_itself_is_followed(folder: Path) -> None:
    assert open_path(str(folder / "link.txt")).items[0].read(Limits()) == b"secret"


@pytest.mark.parametrize("given", ["no/such/place", "loop"])
def test_nothing_there_is_said_at_once(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InvalidRequest, match="no file or folder"):
        open_path(given)


def test_a_folder_that_cannot_be_read_is_an_item_that_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "guide":
            raise PermissionError(13, "Permission denied")
        return walk(path)

    monkeypatch.setattr("os.scandir", refuse)
    locked = next(item for item in open_path(str(folder), "*.md").items if item.hides)
    assert locked.name == "guide"
    with pytest.raises(InvalidRequest, match="Permission denied") as caught:
        locked.read(Limits())
    assert caught.value.code == "unreadable_file"


def test_the_standard_input_is_one_document_under_a_harmless_name() -> None:
    source = from_stream(io.BytesIO(b"hello"), "../../x.md", Limits())
    assert source.items[0].name == "x.md"
    assert source.items[0].read(Limits()) == b"hello"
    assert source.holds("x.md")
    with pytest.raises(InvalidRequest) as caught:
        from_stream(io.BytesIO(b"hello"), "x.md", Limits(max_bytes=4))
    assert caught.value.code == "file_too_large"


def test_a_source_that_could_not_be_had_removes_nothing() -> None:
    source = failed("a", "place", InvalidRequest("no", code="unreadable_file"))
    assert not source.holds("a")
    with pytest.raises(InvalidRequest, match="no"):
        source.items[0].read(Limits())
