"""Searches the documents a request is to be answered from, and puts what it finds before its question.

Stands between the limits and the difficulty model. Decides nothing about tiers: it hands over a call, a figure of
support and how many tokens the passages take.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import BackendError, EngineError, InvalidRequest, NotFound, Overloaded
from headrace.contracts.policy import Policy
from headrace.contracts.protocols import DifficultyModel
from headrace.contracts.retrieval import Hit, Query, Retriever
from headrace.contracts.routing import Attempt
from headrace.gateway.exchange import Exchange
from headrace.gateway.grounding.auto import PROBE_HITS, may_help
from headrace.gateway.grounding.context import Context, Window, build
from headrace.gateway.grounding.grounding import Grounding
from headrace.gateway.grounding.prompt import grounded, question_of
from headrace.gateway.grounding.searching import Run, offered, searched
from headrace.gateway.grounding.tokens import Tokenizers
from headrace.gateway.grounding.wanted import Wanted, read_wanted
from headrace.retrieval.search.evidence import evidence
from headrace.router.cascade.answer import Answer
from headrace.router.features import estimate_tokens, judged_text
from headrace.router.policies.names import resolve

RETRY_AFTER_S = 5.0


class Metered(Protocol):
    """Counts searches: the metrics."""

    def searched(self, outcome: str, seconds: float) -> None:
        """Count one: "ok", "empty", or the kind of error."""
        ...


class Grounder:
    """Grounds requests. Safe to share between tasks.

    retriever: None where documents cannot be searched. clock: seconds.
    """

    def __init__(
        self,
        retriever: Retriever | None,
        *,
        difficulty: DifficultyModel,
        tokenizers: Tokenizers,
        metrics: Metered,
        clock: Callable[[], float],
    ) -> None:
        self._retriever = retriever
        self._difficulty = difficulty
        self._tokenizers = tokenizers
        self._metrics = metrics
        self._clock = clock

    async def ground(self, exchange: Exchange, policy: Policy, call: ChatCall) -> Grounding | None:
        """Return what the request is grounded in, None where it asks for no documents.

        NotFound for a collection that is not the caller's; InvalidRequest where nothing can be searched; Overloaded
        when the search is down, unless the virtual model answers without it. A client that leaves stops the search.
        """
        wanted = read_wanted(policy, resolve(policy, call.model), call, exchange.principal.tenant)
        if wanted is None or (not wanted.is_own and not _has_question(call)):
            return None
        grounding = Grounding(wanted, question_of(call), call, self._clock)
        if grounding.asks_model:
            self._check()
            grounding.call = offered(call)
            return grounding
        async with exchange.leaving():
            if wanted.when == "always" or await self._may_help(grounding):
                await self._look_up(grounding)
        return grounding

    async def answer(self, run: Run, call: ChatCall, trail: list[Attempt], grounding: Grounding | None) -> Answer:
        """Return the answer of the models; before it, run the searches of one that may ask for them."""
        if grounding is None or not grounding.asks_model:
            return await run(call)
        return await searched(run, trail, grounding, self.search)

    async def search(self, grounding: Grounding, query: str, prompt_tokens: int) -> Context:
        """Search for what a model asked, and return it as it may be shown, numbered after what it has seen."""
        hits = await self._search(grounding, query)
        return await self._build(grounding, hits, prompt_tokens=prompt_tokens)

    async def _may_help(self, grounding: Grounding) -> bool:
        started = self._clock()
        wanted = grounding.wanted
        try:
            hits = await self._ask(wanted, wanted.query(grounding.question, mode="lexical", k=PROBE_HITS))
        except Overloaded as error:
            grounding.pass_over(error)
            return False
        finally:
            grounding.times.probe_s += self._clock() - started
        difficulty = self._difficulty.judge(judged_text(grounding.call))
        return await asyncio.to_thread(may_help, grounding.question, hits, difficulty)

    async def _look_up(self, grounding: Grounding) -> None:
        try:
            hits = await self._search(grounding, grounding.question)
        except Overloaded as error:
            grounding.pass_over(error)
            return
        grounding.support = (await asyncio.to_thread(evidence, hits, grounding.question)).support
        if grounding.is_refused:
            return
        call = grounding.call
        context = await self._build(grounding, hits, prompt_tokens=estimate_tokens(call))
        grounding.call = await asyncio.to_thread(grounded, call, context)

    async def _search(self, grounding: Grounding, text: str) -> list[Hit]:
        started = self._clock()
        outcome = "failed"
        try:
            hits = await self._ask(grounding.wanted, grounding.wanted.query(text))
            outcome = "ok" if hits else "empty"
        finally:
            took_s = self._clock() - started
            grounding.times.search_s += took_s
            self._metrics.searched(outcome, took_s)
        grounding.queries.append(text)
        grounding.hits += hits
        return hits

    async def _ask(self, wanted: Wanted, query: Query) -> list[Hit]:
        retriever = self._check()
        timeout_s = wanted.retrieve.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await retriever.search(wanted.tenant, wanted.collections, query)
        except TimeoutError as error:
            raise _down(f"they were not searched within {timeout_s:g} s") from error
        except (BackendError, EngineError, Overloaded) as error:
            raise _down("what searches them is down or full") from error
        except (NotFound, InvalidRequest) as error:
            if wanted.is_own:
                raise
            raise _down(f"the collection of this model cannot be searched ({error.message})") from error

    def _check(self) -> Retriever:
        if self._retriever is None:
            raise InvalidRequest(
                "'file_search' is not available: this gateway has no documents; its operator adds an `embeddings` "
                "section to the configuration",
                param="tools",
                code="retrieval_not_configured",
            )
        return self._retriever

    async def _build(self, grounding: Grounding, hits: Sequence[Hit], *, prompt_tokens: int) -> Context:
        started = self._clock()
        context = await asyncio.to_thread(self._built, grounding, hits, prompt_tokens)
        grounding.times.context_s += self._clock() - started
        grounding.add(context)
        return context

    def _built(self, grounding: Grounding, hits: Sequence[Hit], prompt_tokens: int) -> Context:
        cards = grounding.wanted.cards
        counters = [self._tokenizers.of(card) for card in cards]
        return build(
            hits,
            [Window(card.context_tokens, counter.count) for card, counter in zip(cards, counters, strict=True)],
            prompt_tokens=prompt_tokens,
            answer_tokens=grounding.call.max_tokens,
            markers=frozenset(marker for counter in counters for marker in counter.markers),
            first=len(grounding.shown) + 1,
            support=grounding.support or 0.0,
        )


def _has_question(call: ChatCall) -> bool:
    return any(message.role == "user" and message.text.strip() for message in call.messages)


def _down(why: str) -> Overloaded:
    return Overloaded(
        f"the documents cannot be searched: {why}; try again later",
        code="retrieval_unavailable",
        retry_after_s=RETRY_AFTER_S,
    )
