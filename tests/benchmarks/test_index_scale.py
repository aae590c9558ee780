import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks import index_scale
from benchmarks.index_scale import COLUMNS, K, blocks, build, drawn, exact, fill, passages, question, recall, search

SIZE = 600


def test_vectors_and_texts_are_the_same_at_every_call() -> None:
    one, other = (np.concatenate(list(blocks(SIZE))) for _ in range(2))
    assert one.shape == (SIZE, index_scale.DIMENSIONS)
    assert np.array_equal(one, other)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1.0, atol=1e-5)
    assert passages(3, 2) == passages(3, 2) != passages(4, 2)
    assert len(question(1)) == 6


def test_exact_is_what_sorting_all_gives() -> None:
    everything, queries = np.concatenate(list(blocks(SIZE))), drawn(SIZE)[:5]
    expected = np.argsort(-(queries @ everything.T), axis=1)[:, :K] + 1
    assert [set(one) for one in exact(SIZE, queries)] == [set(one) for one in expected.tolist()]
    assert recall(expected.tolist(), exact(SIZE, queries)) == 1.0
    assert recall([[1, 2], [3, 4]], [[2, 1], [4, 5]]) == 0.75


def test_every_step_gives_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_scale, "QUERIES", 5)
    assert fill(tmp_path, SIZE)["put_passages_per_s"] > 0
    assert build(tmp_path, SIZE)["kind"] == "flat"
    figures = search(tmp_path, SIZE)
    assert figures["recall_at_10"] == 1.0
    assert all(figures[f"{name}_p50_ms"] <= figures[f"{name}_p99_ms"] for name in ("dense", "lexical"))


def test_measuring_one_size_keeps_the_rows_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_scale, "RESULT", tmp_path / "rows.csv")
    for size, value in ((100, "a"), (20, "b"), (100, "c")):
        row = ["now", "abc", "here", "python", size, "flat", "build_s", value]
        index_scale._write([row], [size])
    with (tmp_path / "rows.csv").open() as source:
        header, *rows = csv.reader(source)
    assert header == list(COLUMNS)
    assert [(row[4], row[-1]) for row in rows] == [("20", "b"), ("100", "c")]
    assert all(int(one[4]) <= int(other[4]) for one, other in pairwise(rows))
