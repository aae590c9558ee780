"""The strategy of a deadline: the strongest tier that is predicted to be in time. Pure; rates come in as data."""

from typing import Final

from headrace.contracts.policy import Latency, VirtualModel
from headrace.contracts.routing import Load, Target
from headrace.router.policies.choice import Choice, Warm, listed
from headrace.router.policies.cost import EXPECTED_COMPLETION_TOKENS
from headrace.router.policies.survey import Ask, Options, nearest_able

NOTHING_KNOWN: Final = Load()


def in_time(strategy: Latency, ask: Ask, model: VirtualModel, options: Options, warm: Warm) -> Choice:
    """Choose the strongest able tier, from the named one downwards, whose predicted time is within the deadline.

    A tier of which nothing is measured yet is taken to be in time: so it is measured. Where all are too slow, the
    fastest of them; where none of them is able, the nearest stronger one. The scores are predicted seconds.
    """
    order = [tier.id for tier in ask.policy.tiers]
    downwards = [tier for tier in reversed(order[: order.index(strategy.use) + 1]) if tier in options.able]
    seconds = {tier: _seconds(strategy, ask, model, target, warm) for tier, target in options.able.items()}
    known = {tier: round(value, 4) for tier, value in seconds.items() if value is not None}
    late = {tier for tier, value in known.items() if value > strategy.deadline_s}
    able = downwards or [nearest_able(strategy.use, ask.policy, options)]
    chosen = next((tier for tier in able if tier not in late), None)
    is_late = chosen is None
    if chosen is None:
        chosen = min(able, key=lambda tier: known[tier])
    what = "the whole answer" if _is_whole(strategy, ask) else "the first token"
    fresh = [tier for tier in seconds if tier not in known]
    told = [f"{strategy.deadline_s:g} s for {what}"]
    told += [f"predicted {listed(known)}"] if known else []
    told += [f"not measured yet: {', '.join(fresh)}"] if fresh else []
    words = f"latency ({'; '.join(told)})" + ("; none is in time and this is the fastest" if is_late else "")
    return Choice({chosen: 1.0}, known, words, barred=late - {chosen})


def predicted_s(load: Load, prompt_tokens: int, answer_tokens: int | None) -> float | None:
    """Return the seconds to the first token, or with `answer_tokens` those to the whole answer; None if unmeasured.

    prompt_tokens: those that are not in the backend's prefix cache. answer_tokens: the most that are wanted.
    """
    if answer_tokens is None:
        return None if load.first_s is None else load.wait_s + load.first_s + load.prefill_s * prompt_tokens
    if load.token_s is None:
        return None
    first_s = 0.0 if load.first_s is None else load.first_s + load.prefill_s * prompt_tokens
    return load.wait_s + first_s + load.token_s * min(float(answer_tokens), load.answer_tokens)


def _seconds(strategy: Latency, ask: Ask, model: VirtualModel, target: Target, warm: Warm) -> float | None:
    """Return the predicted seconds until the client has what the deadline is for."""
    tier = target.tier
    load = ask.load(tier, target.backend) or NOTHING_KNOWN
    read = ask.features.prompt_tokens - (warm.tokens if tier == warm.tier else 0)
    if _is_whole(strategy, ask):
        return predicted_s(load, read, ask.call.max_tokens or EXPECTED_COMPLETION_TOKENS)
    first_s = predicted_s(load, read, None)
    low = model.on_low_confidence
    if first_s is None or low is None or tier == ask.policy.tiers[-1].id:
        return first_s
    return first_s + min(low.probe.s, low.probe.tokens * (load.token_s or 0.0))  # a draft is held back while judged


def _is_whole(strategy: Latency, ask: Ask) -> bool:
    return strategy.measure == "total" or not ask.call.stream
