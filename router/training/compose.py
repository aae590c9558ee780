"""Composes strategies from recorded answers: every tier answered every question once, so nothing is generated again.

The cascade runs the product's own plan, evidence and verdict code on the recorded log-probabilities, token by token;
a panel of experts runs the product's own fuse. The probe's time bound is left out: a record is made with many requests
in flight, where tokens come slower.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Policy
from headrace.contracts.principal import ANONYMOUS
from headrace.contracts.protocols import AnswerJudge, DifficultyModel
from headrace.contracts.routing import Features, Plan, Target
from headrace.router.cascade import fuse
from headrace.router.cascade.fuse import Ballot
from headrace.router.cascade.verdict import Bench
from headrace.router.features import extract
from headrace.router.policies.planner import make_plan
from headrace.router.policies.strategies import sticky_draw
from headrace.router.training.table import HUNDREDTHS, Answer, Entry

MAX_TOKENS: Final = 256  # what a record allows an answer


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of one attempt; of a rejected draft those that were read."""

    model: str
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one strategy made of one question. cost_microusd counts every attempt; drafts: those thrown away.

    model: whose answer was given.
    """

    right: bool
    cost_microusd: float
    seconds: float
    model: str
    drafts: int = 0
    spent: tuple[Spent, ...] = ()


@dataclass(frozen=True, slots=True)
class Composer:
    """The product's deciding parts, set to one policy and one virtual model. Pure.

    A rule that draws lots draws the number of the question. quality: what predicts for rules that weigh it.
    """

    policy: Policy
    virtual_model: str
    difficulty: DifficultyModel
    judge: AnswerJudge
    quality: Callable[[str, str], Mapping[str, float]] | None = None

    def features(self, entry: Entry) -> Features:
        """Return what the policy sees of a question."""
        return extract(self.call(entry), self.difficulty, principal=ANONYMOUS, headers={}, quality=self.quality)

    def cascade(self, entry: Entry) -> Result:
        """Return what the cascade makes of a question: judged drafts, then the tier that is kept."""
        plan = self._plan(entry)
        cost, seconds, spent = 0.0, 0.0, []
        for drafts, target in enumerate(plan.targets):
            answer = entry.answers[target.card.id]
            read = self._read_before_rejection(entry, plan, target, answer) if target.judged else None
            tokens = answer.tokens if read is None else read
            spent.append(Spent(target.card.id, answer.prompt_tokens, tokens))
            cost += cost_of(target.card, answer, tokens)
            if read is None:
                return Result(answer.correct, cost, seconds + answer.seconds, target.card.id, drafts, tuple(spent))
            seconds += answer.early_ms[read - 1] / 1000 if read <= len(answer.early_ms) else answer.seconds
        raise ValueError(f"{entry.question_id}: the plan ends with a judged target")

    def rules_only(self, entry: Entry) -> Result:
        """Return what the policy's rules give without judging any answer."""
        target = self._plan(entry).targets[0]
        return single(entry, target.card)

    def panel(self, entry: Entry, members: Sequence[ModelCard], fused: str) -> Result:
        """Return what experts asked side by side make of a question, by "vote" or "best_confidence"; all are paid.

        Two answers agree where the record says that they come down to the same. The slowest sets the time.
        """
        answers = [entry.answers[card.id] for card in members]
        domain = self.features(entry).domain
        ballots = [
            Ballot(
                text="",
                answer=_answer_class(entry, [one.id for one in members[: place + 1]]),
                confidence=self._confidence(card, answer, domain),
                cost_microusd=round(cost_of(card, answer)),
            )
            for place, (card, answer) in enumerate(zip(members, answers, strict=True))
        ]
        chosen = (fuse.best_confidence if fused == "best_confidence" else fuse.vote)(ballots).chosen
        return Result(
            answers[chosen].correct,
            sum(cost_of(card, answer) for card, answer in zip(members, answers, strict=True)),
            max(answer.seconds for answer in answers),
            members[chosen].id,
            spent=tuple(_spent(entry, card) for card in members),
        )

    def call(self, entry: Entry) -> ChatCall:
        """Return the request a question came with."""
        return ChatCall(
            model=self.virtual_model,
            endpoint="chat",
            messages=(Message("user", entry.text),),
            wire={},
            stream=True,
            max_tokens=MAX_TOKENS,
        )

    def _plan(self, entry: Entry) -> Plan:
        return make_plan(
            self.policy,
            self.call(entry),
            self.features(entry),
            is_live=lambda _: True,
            is_calibrated=lambda model, domain: self.judge.is_calibrated(model=model, domain=domain),
            draw=sticky_draw(self.policy.revision, entry.question_id),
        )

    def _read_before_rejection(self, entry: Entry, plan: Plan, target: Target, answer: Answer) -> int | None:
        """Return how many tokens were read when the draft was rejected, None when it was kept."""
        if plan.low_confidence is None:
            return None
        bench = Bench(self.judge, plan.low_confidence, self.call(entry), target.card.id, plan.features.domain)
        logprobs = answer.logprobs
        for count in range(1, min(len(logprobs), plan.low_confidence.probe.tokens + 1)):
            verdict = bench.running(logprobs[:count])
            if verdict is not None:
                return None if verdict.keep else count
        message = {"role": "assistant", "content": "recorded"}
        return None if bench.whole(logprobs, message, answer.finish_reason).keep else answer.tokens

    def _confidence(self, card: ModelCard, answer: Answer, domain: str) -> float | None:
        if not answer.evidence or not self.judge.is_calibrated(model=card.id, domain=domain):
            return None
        seen = self.judge.whole(
            answer.logprobs,
            model=card.id,
            domain=domain,
            json=False,
            max_risk=0.5,
            finish_reason=answer.finish_reason,
        )
        return seen.value


def single(entry: Entry, card: ModelCard) -> Result:
    """Return one model's own answer."""
    answer = entry.answers[card.id]
    return Result(answer.correct, cost_of(card, answer), answer.seconds, card.id, spent=(_spent(entry, card),))


def oracle(entry: Entry, cards: Sequence[ModelCard]) -> Result:
    """Return the cheapest right answer, or the cheapest where none is right; `cards` cheapest first."""
    results = [single(entry, card) for card in cards]
    return next((one for one in results if one.right), results[0])


def random_mix(costs: tuple[float, float], spent: float, rights: tuple[float, float]) -> float:
    """Return how often the coin between two models is right that costs `spent` on average; cheaper model first."""
    share = min(1.0, max(0.0, (spent - costs[0]) / (costs[1] - costs[0])))
    return (1 - share) * rights[0] + share * rights[1]


def cost_of(card: ModelCard, answer: Answer, tokens: int | None = None) -> float:
    """Return the cost of an answer, or of its first tokens, in micro-USD (not rounded)."""
    written = answer.tokens if tokens is None else tokens
    price = card.price
    return float(answer.prompt_tokens * price.input_usd_per_mtok + written * price.output_usd_per_mtok)


def cards_by_model(policy: Policy) -> Mapping[str, ModelCard]:
    """Return the policy's cards by catalogue id."""
    return {card.id: card for card in policy.cards.values()}


def _spent(entry: Entry, card: ModelCard) -> Spent:
    answer = entry.answers[card.id]
    return Spent(card.id, answer.prompt_tokens, answer.tokens)


def _answer_class(entry: Entry, models: Sequence[str]) -> str:
    """Name what the last model's answer comes down to by the first model that says the same."""
    agreement = entry.answers[models[-1]].agreement
    return next((model for model in models[:-1] if agreement.get(model) == HUNDREDTHS), models[-1])
