"""Who sits on a panel of experts: the backends with the most predicted quality for their cost. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Experts, Policy, VirtualModel
from headrace.contracts.routing import Panel, Target
from headrace.router.policies.capability import needs
from headrace.router.policies.choice import COLD, listed
from headrace.router.policies.cost import EXPECTED_COMPLETION_TOKENS, attempt_cost
from headrace.router.policies.survey import Ask, Options, fit
from headrace.router.policies.value import net_cost, predicted_qualities

JUDGE_ANSWER_TOKENS: Final = 16


class Seats(msgspec.Struct, frozen=True):
    """The members, best first; the panel where there are several. scores: by backend id. cost: of all and the judge."""

    members: tuple[Target, ...]
    panel: Panel | None
    scores: Mapping[str, float]
    cost_microusd: int
    words: str


def seat(strategy: Experts, ask: Ask, model: VirtualModel, options: Options) -> Seats:
    """Choose the members. Where several answers, or tools that act, are asked for, the best expert answers alone.

    Ranked by quality minus lambda times cost, the cheaper of equals first. `limits.max_cost_usd` holds for the whole
    panel: the last members give up their seats until it fits. Where no named backend is able, the tiers' own are.
    """
    able = _able(strategy, ask, model) or list(options.able.values())
    quality = predicted_qualities(ask, able)
    cost = {each.backend: net_cost(ask, each, COLD) for each in able}
    scores = {name: quality[name] - strategy.quality_per_milliusd * cost[name] for name in cost}
    ranked = sorted(able, key=lambda each: (-scores[each.backend], cost[each.backend]))
    scores = {each.backend: scores[each.backend] for each in ranked}
    words = f"experts ({listed(scores)})"
    alone = _why_alone(ask.call)
    if alone:
        return _one(ranked[0], ask, scores, f"{words}; {alone}, so {ranked[0].backend!r} alone")
    judge = options.able.get(strategy.judge) if strategy.fuse == "judge" else None
    members, bound = ranked[: strategy.top_k], model.limits.max_cost_microusd
    while len(members) > 1 and bound is not None and _cost(ask, members, judge) > bound:
        members.pop()
    if len(members) == 1:
        return _one(members[0], ask, scores, f"{words}, so {members[0].backend!r} alone")
    fuse = "vote" if strategy.fuse == "judge" and judge is None else strategy.fuse
    told = f"{words}, so {', '.join(each.backend for each in members)} side by side, fused by {fuse}"
    if fuse != strategy.fuse:
        told += f" since the judge's tier {strategy.judge!r} cannot take the request"
    panel = Panel(tuple(members), fuse, strategy.deadline_s, judge)
    return Seats(panel.members, panel, scores, _cost(ask, members, judge), told)


def seatable(policy: Policy, strategy: Experts) -> tuple[str, ...]:
    """Return the ids of the backends that may be asked, without repeats: the named ones, else those of every tier."""
    every = (backend for tier in policy.tiers for backend in tier.backend_ids())
    return tuple(dict.fromkeys(strategy.backends or every))


def _able(strategy: Experts, ask: Ask, model: VirtualModel) -> list[Target]:
    wanted = needs(ask.call)
    homes = {backend: tier.id for tier in reversed(ask.policy.tiers) for backend in tier.backend_ids()}
    found = (fit(ask, homes[name], name, wanted, model.limits) for name in seatable(ask.policy, strategy))
    return [each for each in found if isinstance(each, Target)]


def _why_alone(call: ChatCall) -> str:
    if call.n > 1:
        return "n is over 1"
    return "the request has tools" if call.tools else ""


def _one(member: Target, ask: Ask, scores: Mapping[str, float], words: str) -> Seats:
    return Seats((member,), None, scores, _cost(ask, [member], None), words)


def _cost(ask: Ask, members: list[Target], judge: Target | None) -> int:
    """Return what the panel is expected to cost in micro-USD; a judge reads the question and every answer."""
    total = sum(attempt_cost(each.card, ask.call, ask.features.prompt_tokens) for each in members)
    return total if judge is None else total + _judging_cost(judge.card, ask, len(members))


def _judging_cost(card: ModelCard, ask: Ask, answers: int) -> int:
    read = ask.features.prompt_tokens + answers * EXPECTED_COMPLETION_TOKENS
    return card.price.cost_microusd(read, JUDGE_ANSWER_TOKENS)
