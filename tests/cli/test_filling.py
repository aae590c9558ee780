import io
import sys
from pathlib import Path

import pytest

from headrace.cli.filling import Tally, _showing, given_sources, parse_attributes, scalar
from headrace.contracts.errors import Forbidden, InvalidRequest
from headrace.retrieval.ingest.job import Step
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.sources import open_path


def test_attributes_are_numbers_truths_or_text() -> None:
    found = parse_attributes(["year=2024", "score=0.5", "final=true", "note=a=b", "old=false"])
    assert found == {"year": 2024, "score": 0.5, "final": True, "note": "a=b", "old": False}
    assert scalar("1e3") == 1000.0


@pytest.mark.parametrize("given", ["novalue", "=x", "path=x", "source=x"])
def test_an_attribute_needs_a_key_of_its_own(given: str) -> None:
    with pytest.raises(InvalidRequest, match="key=value"):
        parse_attributes([given])


def test_paths_streams_and_refused_urls_become_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")

    class Stdin:
        buffer = io.BytesIO(b"typed")

    monkeypatch.setattr(sys, "stdin", Stdin())
    url = "http://127.0.0.1:1/x.md"
    file, typed, web = given_sources([str(tmp_path / "a.txt"), "-", url], None, "note.md", ["127.0.0.1"])
    assert file.items[0].name == "a.txt"
    assert typed.items[0].read(Limits()) == b"typed"
    with pytest.raises(InvalidRequest, match="cannot be fetched") as caught:
        web.items[0].read(Limits())
    assert caught.value.code == "unreadable_file"


def test_a_url_that_is_not_allowed_is_refused_before_anything_is_done() -> None:
    with pytest.raises(Forbidden, match=r"--allow-host example\.org"):
        given_sources(["http://example.org/"], None, "x", [])


def test_what_happened_is_counted() -> None:
    tally = Tally()
    for step in (
        Step("a", "added", 3, 10),
        Step("b", "replaced", 2, 5),
        Step("c", "unchanged", 9, 9),
        Step("d", "failed", code="empty_file", reason="is empty"),
    ):
        tally.count(step)
    told = tally.as_object()
    assert (told["added"], told["replaced"], told["unchanged"], told["chunks"], told["bytes"]) == (1, 1, 1, 5, 15)
    assert told["failed"] == [{"name": "d", "code": "empty_file", "reason": "is empty"}]


def test_a_terminal_gets_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with _showing([open_path(str(tmp_path))], is_quiet=False) as tell:
        tell(Step("a.txt", "added", 1, 1))
        tell(Step("b.txt", "removed", 1, 1))
    assert "1/1" in capsys.readouterr().err
