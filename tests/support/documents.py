"""A small library in memory behind the Retriever seam: searches by the words of a question, and fails when told to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.contracts.errors import HeadraceError, NotFound
from headrace.contracts.retrieval import Hit, Passage, Query
from headrace.gateway.grounding.overlap import coverage, words

LEAVE = (
    "Employees of Brightwater get 27 days of paid leave a year. Leave that is not taken by the end of March is lost. "
    "Requests go to the team lead two weeks ahead."
)
TRAVEL = "Trips of Brightwater are booked by the travel desk. Trains are preferred under 600 kilometres."
COFFEE = "The coffee machine on the second floor is cleaned every Friday afternoon by the facilities team."


def passage(
    text: str, number: int = 1, *, name: str = "handbook.md", start: int = 0, page: int | None = None
) -> Passage:
    """Return a passage of the document file-NUMBER."""
    return Passage(number, f"file-{number}", name, text, start, start + len(text), len(text) // 4, page=page)


def hit(text: str, number: int = 1, score: float = 0.9, **more: object) -> Hit:
    """Return a hit on a passage of the document file-NUMBER."""
    return Hit(passage(text, number, **more), score)  # type: ignore[arg-type]


@dataclass
class Library:
    """(tenant, collection) -> passages. asked: every query. fault: raised by searches; hangs: they never end."""

    shelves: dict[tuple[str, str], list[Passage]] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...], Query]] = field(default_factory=list)
    fault: HeadraceError | None = None
    hangs: bool = False
    cancelled: int = 0

    @classmethod
    def of(cls, *texts: str, tenant: str = "default", collection: str = "vs_1") -> "Library":
        """Return a library of one collection, a document a text."""
        return cls({(tenant, collection): [passage(text, 1 + at) for at, text in enumerate(texts)]})

    async def search(self, tenant: str, collections: Sequence[str], query: Query) -> list[Hit]:
        """Return the passages that share words with the query, most first."""
        self.asked.append((tenant, tuple(collections), query))
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.fault is not None:
            raise self.fault
        found: list[Passage] = []
        for collection in collections:
            if (tenant, collection) not in self.shelves:
                raise NotFound(f"no vector store '{collection}'", param="vector_store_ids", code="not_found")
            found += self.shelves[tenant, collection]
        wanted = words(query.text)
        scored = [Hit(each, coverage(wanted, words(each.text))) for each in found]
        kept = [each for each in scored if each.score > 0 and each.score >= query.min_score]
        return sorted(kept, key=lambda each: -each.score)[: query.k]
