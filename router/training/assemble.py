"""Puts together what the shipped artefact learns from: public outcomes, the default tiers' record, topics."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from headrace.router.training.corpus import FOLDS, Example, read_source
from headrace.router.training.labelled import Question, draw, read_labelled
from headrace.router.training.roles import ROLES, domain_of
from headrace.router.training.table import PACKAGED, Entry, read_table

# One question put to the real small tier counts as much as this many of another pair of models.
LIVE_WEIGHT: Final = 8.0
SMALL: Final = "smollm2-135m-instruct-int8"
TOPIC_SEEDS: Final = Path(__file__).with_name("topic_seeds.txt")


def training_examples(folder: Path, table: Path = PACKAGED) -> list[Example]:
    """Return every example of the default artefact; questions kept for the live benchmark are left out."""
    labelled = read_labelled(folder)
    _, kept_back = draw(labelled)
    tested = {one.question_id for one in read_table(table, split="test")}
    public = [one for source in sorted(ROLES) for one in read_source(folder, source) if one.question_id not in tested]
    live = live_examples(read_table(table, split="calibration"))
    taken = {one.question_id for one in live} | {one.question_id for one in kept_back}
    topics = topic_examples([one for one in labelled if one.question_id not in taken])
    return [*without(public, kept_back), *live, *topics, *seed_examples()]


def live_examples(entries: Sequence[Entry], small: str = SMALL) -> list[Example]:
    """Turn recorded answers of the default small tier into examples (plain answers only, not the JSON twins).

    The large role is taken as right: these are questions that a capable model solves, and the value must not fall
    where the large tier of the day is too weak, for then hard questions would look easy.
    """
    examples = []
    for entry in entries:
        if entry.as_json or small not in entry.answers:
            continue
        weak = float(entry.answers[small].correct)
        examples.append(
            Example(
                question_id=entry.question_id,
                text=entry.text,
                source="default_tiers",
                subject=entry.kind,
                domain=domain_of_kind(entry.kind),
                group=entry.question_id,
                fold=fold_of(entry.question_id),
                small=weak,
                large=1.0,
                gain=1.0 - weak,
                weight=LIVE_WEIGHT,
            )
        )
    return examples


def topic_examples(questions: Sequence[Question]) -> list[Example]:
    """Return labelled questions that no tier was asked: they teach words and the domain, not the gain."""
    return [
        Example(
            one.question_id,
            one.text,
            "labelled",
            one.kind,
            domain_of_kind(one.kind),
            one.question_id,
            fold_of(one.question_id),
        )
        for one in questions
        if not one.kind.startswith("gsm8k")
    ]


def seed_examples() -> list[Example]:
    """Return everyday questions written for this project: they too teach words and the domain, not the gain."""
    examples = []
    for number, line in enumerate(TOPIC_SEEDS.read_text(encoding="utf-8").splitlines()):
        domain, _, text = line.partition(": ")
        name = f"seed:{number}"
        examples.append(Example(name, text, "topic_seeds", domain, domain, name, fold_of(text)))
    return examples


def without(examples: Sequence[Example], kept_back: Sequence[Question]) -> list[Example]:
    """Drop the examples whose text is that of a question (or its code stub) that must stay unseen."""
    exact = {_plain(one.text) for one in kept_back} | {_plain(one.gold.get("prompt", "")) for one in kept_back}
    return [one for one in examples if _plain(one.text) not in exact]


def domain_of_kind(kind: str) -> str:
    """Return the domain of a labelled kind."""
    if kind.startswith("gsm8k"):
        return "maths"
    if kind == "pubmedqa":
        return "knowledge"
    return "code" if kind in {"humaneval", "crux"} else domain_of("easy", kind)


def fold_of(key: str) -> int:
    """Return a stable fold of 0..4."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % FOLDS


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
