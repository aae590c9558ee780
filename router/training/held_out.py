"""What the difficulty model says of questions it learned from, had it not: so that they can be used to choose by.

The default tiers' calibration questions teach the packaged difficulty model too. Judged by that very model they look
as if it always knew where the small tier fails. `headrace router hold-out` fits it anew without each fold and keeps
what each fit says of its own fold; the file names the artefact it belongs to.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.contracts.errors import ConfigError
from headrace.contracts.protocols import DifficultyModel
from headrace.contracts.routing import Difficulty
from headrace.router.training.table import Entry

PACKAGED: Final = Path(__file__).with_name("data") / "default_tiers_held_out.json"
FORMAT: Final = "headrace-held-out"
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Implements contracts.DifficultyModel: `known` by text without space around it, else the served model."""

    served: DifficultyModel
    known: Mapping[str, Difficulty]

    def judge(self, text: str) -> Difficulty:
        """Judge a question by a model that has not learned from it."""
        return self.known.get(text.strip()) or self.served.judge(text)


def write_held_out(path: Path, judged: Mapping[str, Difficulty], *, artefact: str) -> None:
    """Write judgements by question id. artefact: sha256 of the weights that are served."""
    rows = {name: [round(one.value, _DIGITS), one.domain, one.unfamiliar] for name, one in sorted(judged.items())}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    head = f'"format": "{FORMAT}", "artefact": "{artefact}", "questions"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{{{head}: {{\n{lines}\n}}}}\n", encoding="utf-8")


def held_out(served: DifficultyModel, artefact: str, entries: Iterable[Entry], path: Path = PACKAGED) -> HeldOut:
    """Return the served model with the entries it learned from held out; ConfigError for a file of another artefact."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["artefact"]) != (FORMAT, artefact):
            raise ConfigError(
                f"{path}: belongs to difficulty artefact {content['artefact'][:12]}, not {artefact[:12]}; {_CURE}"
            )
        rows = content["questions"]
        known = {
            one.text.strip(): Difficulty(float(value), domain, bool(unfamiliar))
            for one in entries
            if one.question_id in rows
            for value, domain, unfamiliar in [rows[one.question_id]]
        }
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigError(f"{path}: no readable held-out judgements ({exc!r}); {_CURE}") from exc
    return HeldOut(served, known)


_CURE: Final = "make them with `headrace router hold-out`"
