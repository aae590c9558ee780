"""A mistake in a policy: where it stands, what is wrong, and the cure."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.contracts.policy import Policy

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. path: keys and list positions from the top of the document."""

    path: Path
    message: str
    cure: str
    nearest: str | None = None


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like a mistyped one, None when none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def tier_name(policy: Policy, path: Path, tier: str) -> Iterator[Problem]:
    """Yield the problem of a name that is no tier of the policy."""
    known = [each.id for each in policy.tiers]
    if tier not in known:
        yield unknown(path, "tier", tier, known)


def unknown(path: Path, what: str, word: str, known: Iterable[str]) -> Problem:
    """Return the problem of a word that names nothing, with the nearest one that does."""
    known = list(known)
    return Problem(path, f"unknown {what} {word!r}", f"known: {', '.join(known)}", nearest_word(word, known))


def repeated(path: Path, what: str, name: str) -> Problem:
    """Return the problem of an id that stands there twice."""
    return Problem(path, f"a second {what} with the id {name!r}", "give every one an id of its own")
