"""Composes strategies from recorded answers: every tier answered every question once, so nothing is generated again.

The cascade runs the product's own plan, evidence and verdict code on the recorded log-probabilities, token by token.
The probe's time bound is left out: the record was made with many requests in flight, where tokens come slower.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Policy
from headrace.contracts.principal import ANONYMOUS
from headrace.contracts.protocols import AnswerJudge, DifficultyModel
from headrace.contracts.routing import Features, Plan, Target
from headrace.router.cascade.verdict import Bench
from headrace.router.features import extract
from headrace.router.policies.planner import make_plan
from headrace.router.training.table import Answer, Entry


@dataclass(frozen=True, slots=True)
class Result:
    """What one strategy made of one question. cost_microusd counts every draft; drafts: those thrown away."""

    right: bool
    cost_microusd: float
    seconds: float
    model: str
    drafts: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """The product's deciding parts, set to one policy and one virtual model."""

    policy: Policy
    virtual_model: str
    difficulty: DifficultyModel
    judge: AnswerJudge

    def features(self, entry: Entry) -> Features:
        """Return what the policy sees of a question."""
        return extract(self.call(entry), self.difficulty, principal=ANONYMOUS, headers={})

    def cascade(self, entry: Entry) -> Result:
        """Return what the cascade makes of a question: judged drafts, then the tier that is kept."""
        plan = self._plan(entry)
        cost, seconds = 0.0, 0.0
        for drafts, target in enumerate(plan.targets):
            answer = entry.answers[target.card.id]
            read = self._read_before_rejection(entry, plan, target, answer) if target.judged else None
            if read is None:
                whole = cost_of(target.card, answer)
                return Result(answer.correct, cost + whole, seconds + answer.seconds, target.card.id, drafts)
            cost += cost_of(target.card, answer, read)
            seconds += answer.early_ms[read - 1] / 1000 if read <= len(answer.early_ms) else answer.seconds
        raise ValueError(f"{entry.question_id}: the plan ends with a judged target")

    def rules_only(self, entry: Entry) -> Result:
        """Return what the policy's rules give without judging any answer."""
        target = self._plan(entry).targets[0]
        return single(entry, target.card)

    def call(self, entry: Entry) -> ChatCall:
        """Return the request a question came with."""
        return ChatCall(
            model=self.virtual_model,
            endpoint="chat",
            messages=(Message("user", entry.text),),
            wire={},
            stream=True,
            max_tokens=256,
        )

    def _plan(self, entry: Entry) -> Plan:
        return make_plan(
            self.policy,
            self.call(entry),
            self.features(entry),
            is_live=lambda _: True,
            is_calibrated=lambda model, domain: self.judge.is_calibrated(model=model, domain=domain),
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


def single(entry: Entry, card: ModelCard) -> Result:
    """Return one model's own answer."""
    answer = entry.answers[card.id]
    return Result(answer.correct, cost_of(card, answer), answer.seconds, card.id)


def oracle(entry: Entry, cards: Sequence[ModelCard]) -> Result:
    """Return the cheapest right answer, or the cheapest where none is right; `cards` cheapest first."""
    results = [single(entry, card) for card in cards]
    return next((one for one in results if one.right), results[0])


def thresholded(
    entries: Sequence[Entry], score: Callable[[Entry], float], small: ModelCard, large: ModelCard, budget: float
) -> list[Result]:
    """Return the most accurate split by `score` (high goes to the large model) whose mean cost is within `budget`.

    The threshold is chosen on these very questions: a bound on any rule on that score, kinder than a rule deserves.
    """
    weak, strong = [single(one, small) for one in entries], [single(one, large) for one in entries]
    order = sorted(range(len(entries)), key=lambda row: -score(entries[row]))
    best, best_right, chosen = list(weak), sum(one.right for one in weak), list(weak)
    for row in order:
        chosen[row] = strong[row]
        if sum(one.cost_microusd for one in chosen) > budget * len(entries):
            break
        right = sum(one.right for one in chosen)
        if right > best_right:
            best, best_right = list(chosen), right
    return best


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
