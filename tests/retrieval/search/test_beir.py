import gzip
import json
from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError
from headrace.retrieval.search.beir import Record, read

CORPUS = [
    {"_id": "d1", "title": "Dams", "text": "they hold rivers back", "kind": "passage"},
    {"_id": "d2", "text": "no title here"},
    {"_id": 3, "title": None, "text": "a number for an id"},
]
QUERIES = [{"_id": "q1", "text": "what is a dam", "metadata": {"x": [1]}}, {"_id": "q2", "text": "unjudged"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nelse\td1\t1\n"


def lines(records: list[dict[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl").write_text("\ufeff" + lines(CORPUS), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES) + "\n\n", encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text(QRELS, encoding="utf-8")
    return tmp_path


def test_a_dataset_is_its_passages_its_judged_questions_and_the_grades(folder: Path) -> None:
    found = read(folder)
    assert [record.id for record in found.corpus] == ["d1", "d2", "3"]
    assert [record.whole for record in found.corpus][:2] == ["Dams they hold rivers back", "no title here"]
    assert found.queries == [Record("q1", "what is a dam")]
    assert found.judged == {"q1": {"d1": 2, "d2": 0}}


def test_a_passage_that_is_only_a_title_is_its_title(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "Dams", "text": " "}\n{"_id": "d2", "title": "x"}\n')
    assert read(folder).corpus == [Record("d1", "Dams"), Record("d2", "x")]


def test_packed_files_and_a_folder_of_splits_are_read_the_test_split_first(folder: Path) -> None:
    for name in ("corpus", "queries"):
        plain = folder / f"{name}.jsonl"
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "dev.tsv")
    assert read(folder).judged["q1"]["d1"] == 2
    (folder / "qrels" / "test.tsv").write_text("q1\td2\t1\r\n", encoding="utf-8")
    assert read(folder).judged == {"q1": {"d2": 1}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", b'{"_id": "a", "text": "x"}\n{"_id": "b"', r"corpus\.jsonl:2: not an object"),
        ("corpus.jsonl", b"\n[1]\n", r"corpus\.jsonl:2: not an object"),
        ("corpus.jsonl", b'{"_id": "a", "text": "\xff"}\n', r"corpus\.jsonl:1: not an object"),
        ("corpus.jsonl", b'{"_id": "a"}\n', r'corpus\.jsonl:1: "_id" or "text" is missing'),
        ("corpus.jsonl", b'{"_id": "a", "text": "x"}\n' * 2, r"corpus\.jsonl:2: \"_id\" 'a' stands twice"),
        ("corpus.jsonl", b"\n", r"corpus\.jsonl: the file is empty"),
        ("qrels.tsv", b"query-id\tcorpus-id\tscore\nq1 d1 1\n", r"qrels\.tsv:2: 1 columns"),
        ("qrels.tsv", b"q1\td1\t1\nq1\td1\tyes\n", r"qrels\.tsv:2: score 'yes' is not a whole number"),
        ("qrels.tsv", b"q1\td1\t1e999\n", "no question of"),
        ("qrels.tsv", b"q1\t\xff\t1\n", r"qrels\.tsv:1: not UTF-8"),
        ("qrels.tsv", b"q9\td1\t1\n", "no question of .* has a relevant passage"),
        ("qrels.tsv", b"q1\td1\t0\n", "no question of .* has a relevant passage"),
    ],
)
def test_a_bad_line_is_named_by_its_file_and_number(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read(folder)


def test_a_packed_file_that_ends_early_is_named(folder: Path) -> None:
    packed = gzip.compress((folder / "corpus.jsonl").read_bytes())
    (folder / "corpus.jsonl").write_bytes(packed[:-12])
    with pytest.raises(ConfigError, match=r"corpus\.jsonl:\d+: cannot be read"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "message"), [("corpus.jsonl", "neither corpus.jsonl nor"), ("qrels.tsv", "no qrels.tsv, qrels/test.tsv")]
)
def test_a_missing_file_is_named_with_what_it_should_be(folder: Path, name: str, message: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=message):
        read(folder)
    with pytest.raises(ConfigError, match="no such folder"):
        read(folder / "nowhere")
