"""The ledger's lines as replay needs them, and outcomes that somebody graded. Reads bytes, opens no file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from headrace.contracts.errors import ConfigError
from headrace.contracts.feedback import Feedback
from headrace.contracts.routing import Attempt, LoggedFeatures


class Line(msgspec.Struct, frozen=True):
    """One line of a file; `number` counts from 1."""

    file: str
    number: int
    text: bytes

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.number}"


class Step(msgspec.Struct, frozen=True):
    """One target of a plan, as far as it decides what comes out. `judged`: its answer may be rejected before commit."""

    tier: str
    model: str
    judged: bool


class LoggedPlan(msgspec.Struct, frozen=True):
    """What was decided. propensity: probability with which the logged policy chose the first target's tier.

    chances: that of every tier that could have stood first. scores: what the rule's strategy compared, by tier. Both
    are empty for a rule that names a tier.
    """

    rule: str
    targets: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)]
    propensity: Annotated[float, msgspec.Meta(gt=0, le=1)]
    chances: Mapping[str, float] = {}
    scores: Mapping[str, float] = {}


class Entry(msgspec.Struct, frozen=True):
    """One request that was planned. cost_microusd: every attempt together; total_s: until the client had it all.

    artefacts: what judged it ("difficulty", "calibration") -> sha256.
    """

    v: Literal[1]
    decision: str
    model: str
    key: str
    tenant: str
    stream: bool
    features: LoggedFeatures
    plan: LoggedPlan
    attempts: tuple[Attempt, ...]
    cost_microusd: int
    total_s: float
    artefacts: Mapping[str, str] = {}

    @property
    def answered_by(self) -> str | None:
        """The model whose answer went to the client, None if none did."""
        return next((one.model for one in self.attempts if one.outcome in {"committed", "broken"}), None)


class Unplanned(msgspec.Struct, frozen=True):
    """A request without a plan (refused before one was made, or an embedding): there is nothing to decide again."""

    v: Literal[1]
    decision: str
    features: None
    plan: None


class Aside(msgspec.Struct, frozen=True):
    """A line that is about no decision of its own: what a shadow answered, or of a kind that came later."""

    v: int
    decision: msgspec.UnsetType | None = msgspec.UNSET
    feedback: msgspec.UnsetType | None = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Log:
    """What could be read and what could not.

    feedback: decision id -> the last score a client gave. asides: whole lines that replay has no use for.
    first_faulty: `file:line: what`, empty when every record is whole.
    """

    entries: tuple[Entry, ...]
    feedback: Mapping[str, float] = field(default_factory=dict)
    unplanned: int = 0
    asides: int = 0
    torn: int = 0
    faulty: int = 0
    first_faulty: str = ""


class Score(msgspec.Struct, frozen=True):
    """How good the answer of one decision was, from 0 to 1."""

    decision: str
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]


def read_ledger(lines: Iterable[Line]) -> Log:
    """Sort the ledger's lines: planned requests, those without a plan, feedback, asides, torn (no JSON), the rest."""
    entries: list[Entry] = []
    feedback: dict[str, float] = {}
    unplanned = asides = torn = faulty = 0
    first_faulty = ""
    for line in lines:
        try:
            entries.append(_ENTRY.decode(line.text))
        except msgspec.ValidationError as exc:
            other = _of_another_kind(line.text)
            match other:
                case Feedback():
                    feedback[other.feedback] = other.score
                case Unplanned():
                    unplanned += 1
                case Aside():
                    asides += 1
                case None:
                    faulty += 1
                    first_faulty = first_faulty or f"{line.place}: {exc}"
        except (msgspec.DecodeError, UnicodeDecodeError):
            torn += 1
    return Log(tuple(entries), feedback, unplanned, asides, torn, faulty, first_faulty)


def read_scores(lines: Iterable[Line]) -> dict[str, float]:
    """Return decision id -> score; the last line of a decision wins. ConfigError with `file:line` for a bad line."""
    scores: dict[str, float] = {}
    for line in lines:
        if not line.text.strip():
            continue
        try:
            one = _SCORE.decode(line.text)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(
                f'{line.place}: {exc}; write one {{"decision": "dec_...", "score": 0.0 to 1.0}} a line'
            ) from exc
        scores[one.decision] = one.score
    return scores


_ENTRY = msgspec.json.Decoder(Entry)
_UNPLANNED = msgspec.json.Decoder(Unplanned)
_FEEDBACK = msgspec.json.Decoder(Feedback)
_ASIDE = msgspec.json.Decoder(Aside)
_SCORE = msgspec.json.Decoder(Score)


def _of_another_kind(text: bytes) -> Unplanned | Feedback | Aside | None:
    """Return a line that is whole but no planned request; None for one that is nothing replay knows."""
    for decode in (_UNPLANNED.decode, _FEEDBACK.decode, _ASIDE.decode):
        try:
            return decode(text)
        except msgspec.ValidationError:
            continue
    return None
