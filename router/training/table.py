"""The compact record of what the default tiers answered: small enough to ship, enough to calibrate on.

Log-probabilities are kept as whole hundredths, as the cascade counts them (its evidence rules are applied when the
table is made); answers' texts are not kept.
"""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from headrace.contracts.chat import Choice, Logprobs, TokenLogprob
from headrace.contracts.errors import ConfigError
from headrace.router.cascade.evidence import answer_evidence
from headrace.router.training.labelled import Question
from headrace.router.training.record import Row

PACKAGED: Final = Path(__file__).with_name("data") / "default_tiers.jsonl.gz"
HUNDREDTHS: Final = 100.0
EARLY_TOKENS: Final = 64


class Answer(msgspec.Struct, frozen=True):
    """One model's answer: evidence[i] is a log-probability in hundredths, early_ms[i] when token i came."""

    correct: bool
    finish_reason: str
    prompt_tokens: int
    tokens: int
    seconds: float
    evidence: list[int]
    early_ms: list[int]

    @property
    def logprobs(self) -> list[float]:
        """Return the evidence as natural logs."""
        return [value / HUNDREDTHS for value in self.evidence]


class Entry(msgspec.Struct, frozen=True):
    """One question with the answers of several models."""

    question_id: str
    kind: str
    text: str
    as_json: bool
    origin: str
    license: str
    answers: dict[str, Answer]


def compact(questions: Iterable[Question], runs: Mapping[str, Sequence[Row]]) -> list[Entry]:
    """Join runs (model id -> rows) with their questions; a question no run answered is left out."""
    by_model = {model: {row.question_id: row for row in rows} for model, rows in runs.items()}
    entries = []
    for one in questions:
        answers = {model: _answer(rows[one.question_id]) for model, rows in by_model.items() if one.question_id in rows}
        if answers:
            origin, license_id = one.origin
            entries.append(Entry(one.question_id, one.kind, one.text, one.as_json, origin, license_id, answers))
    return entries


def write_table(path: Path, entries: Iterable[Entry]) -> None:
    """Write a table as .jsonl.gz; the same entries give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b"".join(msgspec.json.encode(one) + b"\n" for one in entries), mtime=0))


def read_table(path: Path = PACKAGED) -> list[Entry]:
    """Read a table; ConfigError when it is missing or malformed."""
    decoder = msgspec.json.Decoder(Entry)
    try:
        return [decoder.decode(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    except (OSError, EOFError, msgspec.DecodeError) as exc:
        raise ConfigError(f"{path}: not a record of answers ({exc}); make one with `headrace router record`") from exc


def _answer(row: Row) -> Answer:
    content = [TokenLogprob(token, logprob) for token, logprob in zip(row.tokens, row.logprobs, strict=True)]
    choice = Choice(
        message={"role": "assistant", "content": row.text},
        logprobs=Logprobs(content=content),
        finish_reason=row.finish_reason,
    )
    evidence = answer_evidence(choice, json=row.as_json)
    return Answer(
        correct=row.correct,
        finish_reason=row.finish_reason,
        prompt_tokens=row.prompt_tokens,
        tokens=len(row.tokens),
        seconds=row.seconds,
        evidence=[round(value * HUNDREDTHS) for value in evidence],
        early_ms=[round(second * 1000) for second in row.token_s[:EARLY_TOKENS]],
    )
