import csv
import json
import random
from pathlib import Path

import pytest

from benchmarks import retrieval_quality as bench
from tests.support.library import publish_embedder
from tests.support.tiny_reranker import publish_reranker

WORDS = ("cat", "dog", "tax", "law")


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("HEADRACE_HOME", str(home))
    publish_embedder(home)
    publish_reranker(home)
    for name in ("first", "second"):
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        corpus = [{"_id": word, "text": f"{word} {name}"} for word in WORDS]
        queries = [{"_id": f"{name}-{i}", "text": WORDS[i % 4], "answerable": i < 12} for i in range(16)]
        for stem, records in (("corpus", corpus), ("queries", queries)):
            (folder / f"{stem}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        (folder / "qrels.tsv").write_text("".join(f"{name}-{i}\t{WORDS[i % 4]}\t1\n" for i in range(12)))
    return tmp_path / "sets"


def test_every_control_is_measured_in_every_form_on_both_halves(sets: Path, tmp_path: Path) -> None:
    bench.main(["--data", str(sets), "--out", str(tmp_path / "out.csv")])
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    fused = [row for row in rows if row["questions"] in bench.FORMS]
    assert {row["search"] for row in fused} == set(bench.CONTROLS)
    assert len(fused) == 2 * 2 * 2 * len(bench.FORMS) * len(bench.CONTROLS)
    found = {row["value"] for row in fused if row["search"] == "lexical" and row["questions"] == bench.PLAIN}
    assert found == {"1.00000"}
    assert {row["set"] for row in rows if row["figure"] == "auroc"} == {"first", "second"}
    assert any(row["search"] == "cross-encoder blended, top 10" for row in rows)


def test_worse_forms_keep_the_words_that_they_should() -> None:
    text = "what is the breakdown voltage of the diode"
    assert bench.keywords(text, random.Random(0)) == "breakdown voltage diode"  # noqa: S311  (data for a test)
    assert set(bench.fewer(text, random.Random(1)).split()) <= {"breakdown", "voltage", "diode"}  # noqa: S311
    worse = bench.swapped(text, random.Random(2))  # noqa: S311
    assert worse != text
    assert sorted(worse) == sorted(text)


def test_fusions_are_those_of_their_names() -> None:
    lexical, dense = [(1, 8.0), (2, 4.0)], [(2, 0.9), (3, 0.1)]
    assert [id_ for id_, _ in bench.reciprocal(lexical, dense, k=60)] == [2, 1, 3]
    scaled = dict(bench.convex(lexical, dense, dense_weight=0.5, least=(0.0, 0.0)))
    assert scaled == pytest.approx({1: 0.5, 2: 0.75, 3: 0.5 / 9})
    assert bench.convex([], [], dense_weight=0.5, least=(None, None)) == []


def test_auroc_counts_pairs_in_order() -> None:
    assert bench.auroc([0.9, 0.5], [0.1, 0.5]) == 0.875
