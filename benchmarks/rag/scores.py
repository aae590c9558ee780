"""How good an answer is: token F1 and exact match against reference answers, a yes/no/maybe, and whether it declines.

Pure. Citation marks are taken off before anything is compared.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Final

_MARK: Final = re.compile(r"\s*\[\d{1,3}(?:\s*[,;-]\s*\d{1,3})*\]")
_ARTICLES: Final = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_VERDICT: Final = re.compile(r"\b(yes|no|maybe)\b", re.IGNORECASE)
_DECLINES: Final = re.compile(
    r"(?:documents?|passages?|texts?|context|information|sources?)(?: provided| given| above)?"
    r" (?:do|does|did)(?: not|n't) (?:tell|say|mention|contain|provide|answer|state|specify|include|give|explicitly"
    r"|address|have|hold|discuss)"
    r"|not (?:mentioned|stated|specified|provided|given|answered|explicitly|contained|found|possible to (?:say|answer))"
    r"|no (?:information|mention|answer|passage|details?)"
    r"|(?:can(?:not|'t| not)|could(?: not|n't)|unable to|am not able to) (?:\w+ )?(?:answer|find|determine|tell|say)"
    r"|(?:do|does)(?: not|n't) (?:know|tell|answer|say)"
    r"|i am sorry|i'm sorry|i apologi[sz]e|insufficient information|not enough information|found nothing",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Return the text as answers are compared: lower case, no marks, articles or punctuation, single spaces."""
    bare = _MARK.sub("", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def f1(answer: str, references: Iterable[str]) -> float:
    """Return the best token F1 against any reference, 0..1."""
    return max((_f1(plain(answer).split(), plain(one).split()) for one in references), default=0.0)


def exact(answer: str, references: Iterable[str]) -> bool:
    """Tell whether the answer is one of the references, or holds all of a short one."""
    given = f" {plain(answer)} "
    return any(f" {plain(one)} " in given for one in references if plain(one))


def verdict(answer: str) -> str:
    """Return the first yes, no or maybe of the answer, empty where there is none."""
    found = _VERDICT.search(answer)
    return found.group(1).lower() if found else ""


def declines(answer: str) -> bool:
    """Tell whether the answer says that it has none; only its beginning counts, as some go on with what they have."""
    return bool(_DECLINES.search(_MARK.sub("", answer)[:300])) or not answer.strip()


def _f1(given: list[str], wanted: list[str]) -> float:
    common = (Counter(given) & Counter(wanted)).total()
    if not common:
        return 0.0
    precision, recall = common / len(given), common / len(wanted)
    return 2 * precision * recall / (precision + recall)
