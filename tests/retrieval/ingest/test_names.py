import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.retrieval.ingest.names import label, relative_name, source_label


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\windows\\system.ini", "windows/system.ini"),
        ("a/./b/../c.md", "a/b/c.md"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("line\nbreak", "linebreak"),
        ("..", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_name_never_climbs_or_hides(given_name: str, shown: str) -> None:
    assert label(given_name) == shown


@settings(deadline=None)
@given(st.text())
def test_any_name_can_be_written_and_stays_inside(name: str) -> None:
    shown = label(name)
    shown.encode()
    assert ".." not in shown.split("/")
    assert not shown.startswith("/")


def test_a_name_in_bytes_that_are_no_text_is_spelled_out(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    assert relative_name(path, tmp_path) == "caf\\xe9.txt"
    assert relative_name(path, path) == "caf\\xe9.txt"
    assert relative_name(tmp_path / "a\x1b[31m.txt", tmp_path) == "a\\x1b[31m.txt"


def test_a_source_is_told_by_its_last_name_and_a_hash() -> None:
    first, second = source_label("/home/ada/docs/"), source_label("/home/bob/docs")
    assert first.startswith("docs-")
    assert second.startswith("docs-")
    assert first != second
    assert "ada" not in first
