"""The compact record of what tiers answered: small enough to ship, enough to calibrate and to judge on.

Log-probabilities are kept as whole hundredths, as the cascade counts them (its evidence rules are applied when the
table is made); so are entropies, margins and shares. Answers' texts are not kept, only how far they agree.
"""

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from headrace.contracts.errors import ConfigError
from headrace.router.training.labelled import Split

PACKAGED: Final = Path(__file__).with_name("data") / "default_tiers.jsonl.gz"
HUNDREDTHS: Final = 100.0
EARLY_TOKENS: Final = 64
# Answers are summed up after so many tokens of evidence, and as a whole.
HORIZONS: Final = (8, 16, 32, 64)


class Doubt(msgspec.Struct, frozen=True, array_like=True):
    """How open the choice of tokens was up to a horizon, in hundredths of nats over the likeliest tokens recorded.

    margin: log-probability of the likeliest token minus that of the next.
    """

    mean_entropy: int
    most_entropy: int
    mean_margin: int
    least_margin: int


class Extra(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another answer of the same model to the same question. agreement: with the first answer, in hundredths."""

    correct: bool
    tokens: int
    agreement: int


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model's answer: evidence[i] is a log-probability in hundredths, early_ms[i] when token i came.

    doubts: up to each of HORIZONS that the evidence reaches, the last for the whole answer. samples: at the sampling
    temperature; again: the greedy answer of a later run. stated: the model's own word on its answer, in percent, and
    stated_tokens what asking for it took (prompt, completion). agreement: with other models' answers, in hundredths.
    support: share of its content words that the question's passage holds, in hundredths. is_valid: JSON of the form
    asked for (None where no JSON was).
    """

    correct: bool
    finish_reason: str
    prompt_tokens: int
    tokens: int
    seconds: float
    evidence: list[int]
    early_ms: list[int]
    doubts: list[Doubt] = []
    samples: list[Extra] = []
    again: Extra | None = None
    stated: int | None = None
    stated_tokens: tuple[int, int] | None = None
    agreement: dict[str, int] = {}
    support: int | None = None
    is_valid: bool | None = None

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
    split: Split = "calibration"


def write_table(path: Path, entries: Iterable[Entry]) -> None:
    """Write a table as .jsonl.gz; the same entries give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b"".join(msgspec.json.encode(one) + b"\n" for one in entries), mtime=0))


def read_table(path: Path = PACKAGED, *, split: Split) -> list[Entry]:
    """Read one split of a table, so that the two never mix; ConfigError when it is missing or malformed."""
    decoder = msgspec.json.Decoder(Entry)
    try:
        entries = [decoder.decode(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    except (OSError, EOFError, msgspec.DecodeError) as exc:
        raise ConfigError(f"{path}: not a record of answers ({exc}); make one with `headrace router collect`") from exc
    return [one for one in entries if one.split == split]


def models_of(entries: Sequence[Entry]) -> list[str]:
    """Return the models that answered, in order of their names."""
    return sorted({model for one in entries for model in one.answers})
