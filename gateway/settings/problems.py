"""One problem of a config file, how it is printed, and the nearest known word to a misspelt one."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Keys = tuple[str | int, ...]
MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; line and column count from 1."""

    file: Path
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        """Return `file:line:column`, which editors open."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and what to do about it. `what` never shows a value that came from the environment."""

    place: Place
    path: str
    what: str
    cure: str

    def __str__(self) -> str:
        """Return `file:line:column: path: what; cure`."""
        path = f" {self.path}:" if self.path else ""
        return f"{self.place}:{path} {self.what}; {self.cure}"


class Report(Protocol):
    """Takes one problem of a file: where, what and the cure; `at_key` when the key itself is at fault."""

    def __call__(self, path: Keys, what: str, cure: str, *, at_key: bool = False) -> None:
        """Take it."""
        ...


def render_path(keys: Keys) -> str:
    """Return `tiers[0].concurrency` for ("tiers", 0, "concurrency")."""
    parts: list[str] = []
    for key in keys:
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key}" if parts else key)
    return printable("".join(parts), limit=200)


def printable(text: str, *, limit: int = MAX_SHOWN) -> str:
    """Return `text` on one line, without control characters, and short."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= limit else f"{clean[: limit - 3]}..."


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the cure for an unknown word: the nearest known one, or the list of all of them."""
    words = sorted(set(known))
    if not words:
        return "nothing is known here"
    close = difflib.get_close_matches(word[:100], words, n=1, cutoff=0.55)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(words)}"


def sort_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems in the order of the file, each once."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda problem: (str(problem.place.file), problem.place.line, problem.place.column))


class Marks:
    """The place of every key and value of one document. Safe to share between tasks."""

    def __init__(self, file: Path, keys: Mapping[Keys, Place], values: Mapping[Keys, Place]) -> None:
        self.file = file
        self._keys = keys
        self._values = values

    def of_value(self, keys: Sequence[str | int]) -> Place:
        """Return where the value stands, or its nearest ancestor that has a place."""
        path = tuple(keys)
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, Place(self.file))

    def of_key(self, keys: Sequence[str | int]) -> Place:
        """Return where the key itself stands, else the place of the value."""
        return self._keys.get(tuple(keys)) or self.of_value(keys)
