from pathlib import Path

from benchmarks.ingest import MAKERS, converted, embedded, make_files
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.ingest.sources import open_path
from tests.support.library import publish_embedder


def test_every_format_is_made_the_same_each_time_and_comes_in(tmp_path: Path) -> None:
    model = publish_embedder(tmp_path / "home")
    first, again = tmp_path / "first", tmp_path / "again"
    for folder in (first, again):
        folder.mkdir()
        make_files(folder, len(MAKERS) + 1)
    assert [path.read_bytes() for path in sorted(first.glob("*.md"))] == [
        path.read_bytes() for path in sorted(again.glob("*.md"))
    ]
    lines = converted(open_path(str(first)), Tokens.load(model))
    assert {line[1] for line in lines} == {*MAKERS, "all"}
    whole = embedded(open_path(str(first), "*.py"), model, tmp_path)
    assert whole[:3] == ("embedded", "all", "1")
