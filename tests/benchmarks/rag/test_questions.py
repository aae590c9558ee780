import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rag.questions import CLAPNQ, PUBMEDQA, VERDICT_HINT, documents, questions


def pack(path: Path, *rows: dict[str, Any]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as sink:
        sink.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    corpus = [{"_id": f"c{n}", "title": f"Title {n}", "text": f"Text {n}."} for n in range(250)]
    pack(tmp_path / "corpus.jsonl.gz", *corpus, {"_id": "c250", "title": "", "text": "No title."})
    asked = [
        {"_id": f"q{n}", "text": f"What is {n}?", "answerable": True, "answers": [f"It is {n}."]} for n in range(5)
    ]
    never = [{"_id": f"u{n}", "text": f"Who is {n}?", "answerable": False, "answers": []} for n in range(5)]
    pack(tmp_path / "queries.jsonl.gz", *asked, *never)
    rows = "".join(f"q{n}\tc{n}\t1\n" for n in range(5))
    (tmp_path / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return tmp_path


def test_questions_of_each_kind_come_in_one_order(folder: Path) -> None:
    some = questions(folder, CLAPNQ, 2)
    assert [one.kind for one in some] == ["answerable", "answerable", "unanswerable", "unanswerable"]
    more = questions(folder, CLAPNQ, 3)
    assert [one for one in more if one in some] == some
    assert some[0].answers == (f"It is {some[0].id[1:]}.",)
    assert some[0].gold == f"Text {some[0].id[1:]}."


def test_a_verdict_is_asked_for_in_words(tmp_path: Path) -> None:
    pack(tmp_path / "corpus.jsonl.gz", {"_id": "c", "title": "", "text": "T."})
    pack(tmp_path / "queries.jsonl.gz", {"_id": "q", "text": "Does it?", "answer": "maybe", "long_answer": "It may."})
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tc\t1\n")
    (one,) = questions(tmp_path, PUBMEDQA, 9)
    assert (one.kind, one.verdict, one.answers) == ("verdict", "maybe", ("It may.",))
    assert one.text == f"Does it? {VERDICT_HINT}"


def test_passages_become_files_with_a_heading_each(folder: Path) -> None:
    asked = questions(folder, CLAPNQ, 2)
    files = dict(documents(folder, asked, 1000))
    assert len(files) == 2
    first, second = (content.decode() for content in files.values())
    assert first.count("\n# ") == 199
    assert "# Abstract c250\n\nNo title.\n" in first + second


def test_passages_that_answer_are_uploaded_first(folder: Path) -> None:
    asked = questions(folder, CLAPNQ, 2)
    ((_, content),) = documents(folder, asked, 3)
    assert all(one.gold in content.decode() for one in asked)
    assert content.decode().count("# ") == 3
