import msgspec
import pytest

from headrace.contracts.retrieval import Compare, Compound, Document, FileSearch, Filter, Hit, Passage, Query


def test_filters_nest_and_survive_json() -> None:
    made: Filter = Compound(
        "and", (Compare("team", "in", ("red", "blue")), Compound("or", (Compare("year", "gte", 2.0),)))
    )
    assert msgspec.json.decode(msgspec.json.encode(made), type=Filter) == made


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Query("leave").k = 3  # type: ignore[misc]


def test_what_is_left_open_is_open() -> None:
    assert (Query("leave").k, Query("leave").mode, Query("leave").rerank) == (10, "hybrid", None)
    assert FileSearch(("vs_1",)) == FileSearch(("vs_1",), None, None, None, None, is_forced=False)
    assert Document("file-1", "a.md", "00", "text", ()).attributes == {}
    assert Hit(Passage(1, "file-1", "a.md", "text", 0, 4, 1), 0.5).stages == {}
