"""What one request is to be answered from, and how: its own file search before the virtual model's `retrieve`. Pure."""

from typing import Final, Literal

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Policy, Retrieve, Tier, VirtualModel
from headrace.contracts.retrieval import Filter, Query, SearchMode

UNSET: Final = Retrieve(())  # how a request's own search is run where the model named has no `retrieve`

Named = VirtualModel | Tier | tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True):
    """One request's search. is_own: the caller named the collections, so they are searched as the caller's tenant's.

    cards: of every backend that may answer.
    """

    tenant: str
    collections: tuple[str, ...]
    k: int
    min_score: float
    where: Filter | None
    rerank: bool | None
    when: Literal["always", "model", "auto"]
    is_own: bool
    retrieve: Retrieve
    cards: tuple[ModelCard, ...]

    def query(self, text: str, *, mode: SearchMode = "hybrid", k: int | None = None) -> Query:
        """Return the query for a text."""
        score = self.min_score if mode == "hybrid" else 0.0
        return Query(text, k or self.k, self.where, score, self.rerank, mode)


def read_wanted(policy: Policy, named: Named, call: ChatCall, tenant: str) -> Wanted | None:
    """Return the search, None where nobody asked for one. named: what the request's model stands for.

    A raw completion has no turn to put passages before and is never grounded. A model can only ask for a search where
    some backend can call tools and one answer is wanted; elsewhere `model` means `always`.
    """
    own = call.file_search
    retrieve = named.retrieve if isinstance(named, VirtualModel) else None
    if call.endpoint != "chat" or (own is None and retrieve is None):
        return None
    setting = retrieve or UNSET
    cards = _cards(policy, named)
    when = "always" if own is not None and own.is_forced else setting.when
    if when == "model" and (call.n > 1 or not any("tools" in card.capabilities for card in cards)):
        when = "always"
    return Wanted(
        tenant=setting.tenant if own is None else tenant,
        collections=setting.collections if own is None else own.collections,
        k=setting.k if own is None or own.k is None else own.k,
        min_score=setting.min_score if own is None or own.min_score is None else own.min_score,
        where=None if own is None else own.where,
        rerank=None if own is None else own.rerank,
        when=when,
        is_own=own is not None,
        retrieve=setting,
        cards=cards,
    )


def _cards(policy: Policy, named: Named) -> tuple[ModelCard, ...]:
    if isinstance(named, tuple):
        ids: tuple[str, ...] = named
    else:
        tiers = policy.tiers if isinstance(named, VirtualModel) else (named,)
        ids = tuple(backend for tier in tiers for backend in tier.backend_ids())
    found = {policy.cards[backend].id: policy.cards[backend] for backend in ids}
    return tuple(card for card in found.values() if "embeddings" not in card.capabilities)
