"""The two question sets and their passages: what is uploaded, what is asked, and what is right."""

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

Kind = Literal["answerable", "unanswerable", "verdict"]
PASSAGES_A_FILE: Final = 200
SEED: Final = 20261122
CLAPNQ: Final = "clapnq_dev"
PUBMEDQA: Final = "pubmedqa_labeled"
VERDICT_HINT: Final = "Begin with yes, no or maybe, then say why in one sentence."


@dataclass(frozen=True, slots=True)
class Question:
    """One question. answers: texts any of which is right, empty where none can be given. gold: the passage that tells.

    verdict: yes, no or maybe, where the question wants one.
    """

    set: str
    id: str
    kind: Kind
    text: str
    answers: tuple[str, ...] = ()
    gold: str = ""
    verdict: str = ""


def questions(folder: Path, name: str, count: int) -> list[Question]:
    """Return the first `count` questions of each kind of a set, in an order that is shuffled once and for all."""
    made = list(_clapnq(folder) if name == CLAPNQ else _pubmedqa(folder))
    random.Random(SEED).shuffle(made)  # noqa: S311  (an order, not a secret)
    kinds = dict.fromkeys(one.kind for one in sorted(made, key=lambda one: one.kind))
    return [one for kind in kinds for one in [each for each in made if each.kind == kind][:count]]


def documents(folder: Path, asked: Sequence[Question], most: int) -> Iterator[tuple[str, bytes]]:
    """Yield the passages as Markdown files (name, content), a heading for each passage.

    At most `most` of them: those that answer the questions asked, then those that belong to any question of the set,
    near misses among them, then the others; each in an order that is shuffled once and for all.
    """
    passages = list(_lines(folder / "corpus.jsonl.gz"))
    random.Random(SEED).shuffle(passages)  # noqa: S311  (an order, not a secret)
    telling = {one.gold for one in asked}
    passages.sort(key=lambda each: (each["text"] not in telling, each.get("kind") == "distractor"))
    passages = passages[:most]
    for number, start in enumerate(range(0, len(passages), PASSAGES_A_FILE), 1):
        parts = [f"# {_title(each)}\n\n{each['text']}\n" for each in passages[start : start + PASSAGES_A_FILE]]
        yield f"{folder.name}-{number:03}.md", "\n".join(parts).encode()


def _clapnq(folder: Path) -> Iterator[Question]:
    texts, gold = _texts(folder), _gold(folder)
    for line in _lines(folder / "queries.jsonl.gz"):
        if line["answerable"]:
            passage = texts.get(gold.get(line["_id"], ""), "")
            yield Question(CLAPNQ, line["_id"], "answerable", line["text"], tuple(line["answers"]), passage)
        else:
            yield Question(CLAPNQ, line["_id"], "unanswerable", line["text"])


def _pubmedqa(folder: Path) -> Iterator[Question]:
    texts, gold = _texts(folder), _gold(folder)
    for line in _lines(folder / "queries.jsonl.gz"):
        passage = texts.get(gold.get(line["_id"], ""), "")
        text = f"{line['text']} {VERDICT_HINT}"
        yield Question(PUBMEDQA, line["_id"], "verdict", text, (line["long_answer"],), passage, line["answer"])


def _texts(folder: Path) -> dict[str, str]:
    return {str(line["_id"]): str(line["text"]) for line in _lines(folder / "corpus.jsonl.gz")}


def _gold(folder: Path) -> dict[str, str]:
    rows: Sequence[str] = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {query: passage for query, passage, _ in (row.split("\t") for row in rows)}


def _title(passage: dict[str, Any]) -> str:
    return " ".join((passage.get("title") or f"Abstract {passage['_id']}").split())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
