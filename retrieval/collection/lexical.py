"""Keyword search: any text becomes a query of plain words, and FTS5 ranks by BM25 (k1 1.2, b 0.75, both fixed there).

Words are cut where the index cuts them, joined by OR, and quoted one by one, so that none is syntax. Words that
half of all English text is made of only cost time, so they are left out unless nothing else is there; of a very long
text the words found in the fewest passages are kept. Scoring a passage costs far more than finding it: where very
many would be scored, only those are that hold one of the rarer words, with all their words counted.
"""

import bisect
import itertools
import re
import sqlite3
from collections.abc import Sequence
from typing import Final

from headrace.contracts.retrieval import Filter
from headrace.retrieval.collection.where import Parameter, condition

MOST_WORDS: Final = 64
LONGEST_WORD: Final = 64
MOST_COUNTED: Final = 2_048
COUNTED_TO: Final = 1_000
MOST_SCORED: Final = 10_000
SCORED_FOR_EACH: Final = 20
MOST_LISTED: Final = 20_000
# One weight a column of `words`: heading, name, text.
WEIGHTS: Final = (3.0, 1.0, 1.0)

_WORD: Final = re.compile(r"[^\W_]+")
_COMMON: Final = (
    "a about after all also am an and any are as at be because been before being between both but by can could did do "
    "does doing for from had has have having he her here hers him his how i if in into is it its just me more most my "
    "no nor not of on once only or other our out over own s same she should so some such t than that the their them "
    "then there these they this those through to too under until up very was we were what when where which while who "
    "whom why will with would you your"
)
_STOP: Final = frozenset(_COMMON.split())

_SEARCH: Final = """
SELECT rowid, -bm25(words, ?, ?, ?) AS score FROM words WHERE words MATCH ? {within}
ORDER BY score DESC, rowid LIMIT ?
"""
# The plus keeps SQLite from running the whole query again for each id.
_WITH_ANY: Final = "AND +rowid IN (SELECT rowid FROM words WHERE words MATCH ?)"
_SIZE: Final = "SELECT coalesce(sum(last - first + 1), 0) FROM documents WHERE {test}"
# Few passages that pass are listed once; of many, each that holds a word is looked up.
_LISTED: Final = """
AND +rowid IN (SELECT chunks.id FROM documents JOIN chunks ON chunks.id BETWEEN first AND last WHERE {test})
"""
_LOOKED_UP: Final = """
AND (SELECT document FROM chunks WHERE chunks.id = words.rowid) IN (SELECT row FROM documents WHERE {test})
"""
_COUNT: Final = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"


def search(connection: sqlite3.Connection, text: str, k: int, where: Filter | None) -> list[tuple[int, float]]:
    """Return (passage id, BM25), best first; equal scores in the order of ids."""
    words = _kept(connection, words_of(text))
    if not words or k < 1:
        return []
    within = ""
    parameters: list[Parameter] = []
    rare = _rare(connection, words, max(MOST_SCORED, SCORED_FOR_EACH * k))
    if len(rare) < len(words):
        within += _WITH_ANY
        parameters.append(_any(rare))
    if where is not None:
        test, values = condition(where)
        (size,) = connection.execute(_SIZE.format(test=test), values).fetchone()
        within += (_LISTED if size <= MOST_LISTED else _LOOKED_UP).format(test=test)
        parameters += values
    rows = connection.execute(_SEARCH.format(within=within), [*WEIGHTS, _any(words), *parameters, k])
    return [(id_, max(0.0, score)) for id_, score in rows]


def words_of(text: str) -> list[str]:
    """Return the different words of a text that are worth looking for, in the order they stand there."""
    words = list(dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(text.lower())))
    return [word for word in words if word not in _STOP] or words


def _kept(connection: sqlite3.Connection, words: Sequence[str]) -> Sequence[str]:
    """Keep the rarest of very many words, judged among the longest of them."""
    if len(words) <= MOST_WORDS:
        return words
    longest = sorted(words, key=len, reverse=True)[:MOST_COUNTED]
    counts = _counts(connection, longest, COUNTED_TO)
    return sorted((word for word in longest if counts[word]), key=counts.__getitem__)[:MOST_WORDS]


def _rare(connection: sqlite3.Connection, words: Sequence[str], most: int) -> Sequence[str]:
    """Return the rarest words, as many as together are in no more than so many passages, one at least."""
    (passages,) = connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()
    if passages <= most:
        return words
    counts = _counts(connection, words, most + 1)
    rarest = sorted(words, key=counts.__getitem__)
    upto = list(itertools.accumulate(counts[word] for word in rarest))
    return rarest[: max(1, bisect.bisect_right(upto, most))]


def _counts(connection: sqlite3.Connection, words: Sequence[str], limit: int) -> dict[str, int]:
    """Count the passages each word is in, up to a limit."""
    return {word: connection.execute(_COUNT, (_any([word]), limit)).fetchone()[0] for word in words}


def _any(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)
