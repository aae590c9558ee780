from pathlib import Path

import pytest

from benchmarks.rag.run import Row, collect, grouped, kept


async def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rows.jsonl"
    asked: list[str] = []

    def job(name: str) -> tuple[str, object]:
        async def make() -> Row:
            asked.append(name)
            return {"name": name}

        return name, make

    said: list[str] = []
    await collect(path, [job("a"), job("b")], at_once=2, say=said.append)  # type: ignore[list-item]
    with path.open("a") as sink:
        sink.write('{"key": "torn')
    rows = await collect(path, [job("b"), job("c")], at_once=2, say=said.append)  # type: ignore[list-item]
    assert asked == ["a", "b", "c"]
    assert [row["name"] for row in rows] == ["b", "c"]
    assert said[-1] == "2 of 2"


async def test_a_row_that_cannot_be_made_leaves_the_others(tmp_path: Path) -> None:
    async def good() -> Row:
        return {"n": 1}

    async def bad() -> Row:
        raise ValueError

    with pytest.raises(ExceptionGroup):
        await collect(tmp_path / "rows.jsonl", [("good", good), ("bad", bad)], at_once=1, say=lambda _: None)
    assert list(kept(tmp_path / "rows.jsonl")) == ["good"]


def test_rows_are_grouped_in_their_order() -> None:
    rows: list[Row] = [{"a": 1, "b": 2}, {"a": 2, "b": 2}, {"a": 1, "b": 3}]
    assert list(grouped(rows, "a")) == [("1",), ("2",)]
    assert list(grouped(rows, "a", "b")) == [("1", "2"), ("2", "2"), ("1", "3")]
