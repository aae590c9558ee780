"""From a policy, a request and its features to a plan. Pure: the same function plans, explains and is replayed.

The order of work: the name, then what each tier can do (capabilities, context, cost, liveness), then the rules, then
affinity, then the chain of escalation. So difficulty never picks a tier that cannot answer.
"""

from collections.abc import Callable
from typing import Final

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import ConfigError
from headrace.contracts.policy import Limits, Policy, Rule, Tier, VirtualModel
from headrace.contracts.routing import Features, Plan, PreviousTurn, Target
from headrace.router.policies.conditions import holds, mentions
from headrace.router.policies.cost import expected_cost
from headrace.router.policies.names import resolve
from headrace.router.policies.survey import Ask, IsLive, Options, survey

NOT_CALIBRATED: Final = "not calibrated for this domain"

IsCalibrated = Callable[[str, str], bool]


def make_plan(
    policy: Policy,
    call: ChatCall,
    features: Features,
    *,
    is_live: IsLive,
    is_calibrated: IsCalibrated,
    previous: PreviousTurn | None = None,
) -> Plan:
    """Decide what will be tried. Calls no model.

    is_live(backend id); is_calibrated(model id, domain); previous: the conversation's last turn, for affinity.
    NotFound for an unknown name; InvalidRequest naming the field that no tier can serve; Overloaded when every tier
    that could serve it is down.
    """
    named = resolve(policy, call.model)
    ask = Ask(policy, call, features, is_live)
    if isinstance(named, VirtualModel):
        return _routed(ask, named, is_calibrated, previous)
    return _named(ask, named)


def _named(ask: Ask, named: Tier | tuple[str, ...]) -> Plan:
    """Plan for a tier or a model that the client named itself: no rule, no judging, nothing else is tried."""
    call, features = ask.call, ask.features
    rule, tiers = ("tier", (named,)) if isinstance(named, Tier) else ("direct", _homes(ask.policy, named))
    options = survey(ask, tiers, Limits())
    target = _marked(next(iter(options.able.values())), "the request names who answers")
    return Plan(
        virtual_model=call.model,
        revision=ask.policy.revision,
        rule=rule,
        features=features,
        targets=(target,),
        skipped=options.skipped,
        low_confidence=None,
        on_failure=(),
        limits=Limits(),
        expected_cost_microusd=expected_cost((target,), call, features.prompt_tokens, features.difficulty),
        reason=f"{call.model!r} names " + (f"the tier {target.tier!r}" if rule == "tier" else "the model itself"),
    )


def _homes(policy: Policy, backends: tuple[str, ...]) -> tuple[Tier, ...]:
    """Return a tier per backend: the one it stands in, reduced to it; a tier without a name where it is in none."""
    homes = ((next((t.id for t in policy.tiers if backend in t.backend_ids()), ""), backend) for backend in backends)
    return tuple(Tier(id=home, default=backend) for home, backend in homes)


def _routed(ask: Ask, model: VirtualModel, is_calibrated: IsCalibrated, previous: PreviousTurn | None) -> Plan:
    policy, call, features = ask.policy, ask.call, ask.features
    options = survey(ask, policy.tiers, model.limits)
    rule = _first_match(model, features)
    order = [tier.id for tier in policy.tiers]
    reasons = [f"rule {rule.id!r} chose {rule.use!r}"]
    start = _settle(rule.use, order, options, reasons)
    if previous is not None and previous.tier in options.able and _stays(ask, model, rule, start, previous):
        start = previous.tier
        reasons.append(f"the conversation stays on {start!r}")
    targets = _judging(ask, model, _chain(start, model, order, options), is_calibrated, reasons)
    return Plan(
        virtual_model=model.name,
        revision=policy.revision,
        rule=rule.id,
        features=features,
        targets=targets,
        skipped=options.skipped,
        low_confidence=model.on_low_confidence,
        on_failure=model.on_failure,
        limits=model.limits,
        failure_targets={
            tier: _marked(options.able[tier], "taken after a failure")
            for failure in model.on_failure
            for tier in failure.then
            if tier in options.able
        },
        expected_cost_microusd=expected_cost(targets, call, features.prompt_tokens, features.difficulty),
        reason="; ".join(reasons),
    )


def _first_match(model: VirtualModel, features: Features) -> Rule:
    for rule in model.select:
        if rule.when is None or holds(rule.when, features):
            return rule
    raise ConfigError(f"{model.name!r} has no default rule; let the last one stand without 'when'")


def _settle(wanted: str, order: list[str], options: Options, reasons: list[str]) -> str:
    """Return the wanted tier, else the nearest stronger one that is able, else the nearest weaker one."""
    if wanted in options.able:
        return wanted
    at = order.index(wanted)
    start = next(tier for tier in (*order[at + 1 :], *reversed(order[:at])) if tier in options.able)
    reasons.append(f"{options.skipped[wanted]}, so {start!r}")
    return start


def _stays(ask: Ask, model: VirtualModel, rule: Rule, start: str, previous: PreviousTurn) -> bool:
    """Tell whether the conversation keeps its tier: difficulty stands still and no other rule moves it up.

    A rule that does not look at difficulty is about something else (tools, length, a header): it may still move the
    conversation to a stronger tier. A first turn opens a conversation, even one that begins like another.
    """
    opens = model.affinity.key == "conversation" and ask.features.turns <= 1
    if model.affinity.key == "none" or opens or previous.tier == start:
        return False
    if abs(ask.features.difficulty - previous.difficulty) > model.affinity.switch_margin:
        return False
    order = [tier.id for tier in ask.policy.tiers]
    is_stronger = order.index(start) > order.index(previous.tier)
    return not is_stronger or mentions(rule.when, "difficulty")


def _chain(start: str, model: VirtualModel, order: list[str], options: Options) -> tuple[Target, ...]:
    """Return the start and, in order, each able tier of `then` that is stronger than the one before."""
    chain = [start]
    for tier in model.on_low_confidence.then if model.on_low_confidence else ():
        if tier in options.able and order.index(tier) > order.index(chain[-1]):
            chain.append(tier)
    return tuple(options.able[tier] for tier in chain)


def _judging(
    ask: Ask, model: VirtualModel, targets: tuple[Target, ...], is_calibrated: IsCalibrated, reasons: list[str]
) -> tuple[Target, ...]:
    """Mark what is judged before commit; say why the rest is not; drop a draft nobody may trust.

    A model without calibration keeps only the questions that the question-side model is sure of: familiar, and less
    likely to need the next tier than the risk the policy accepts.
    """
    low = model.on_low_confidence
    if low is None:
        return tuple(_marked(target, "the policy has no on_low_confidence") for target in targets)
    is_sure = not ask.features.unfamiliar and ask.features.difficulty <= low.max_risk
    marked: list[Target] = []
    for target in targets[:-1]:
        why = _why_not_judged(ask, target, is_calibrated)
        if why == NOT_CALIBRATED and not is_sure:
            reasons.append(f"{target.card.id} is {why} and the question is not surely easy, so {target.tier!r} is left")
        else:
            marked.append(_marked(target, why))
    kept = (*marked, targets[-1])[: model.limits.max_attempts]
    return (*kept[:-1], _marked(kept[-1], "nothing stronger is left"))


def _marked(target: Target, why_not_judged: str) -> Target:
    """Return the target, judged unless there is a reason why not."""
    return Target(target.tier, target.backend, target.card, not why_not_judged, why_not_judged)


def _why_not_judged(ask: Ask, target: Target, is_calibrated: IsCalibrated) -> str:
    if ask.call.n > 1:
        return "n is over 1"
    if "logprobs" not in target.card.capabilities:
        return f"{target.card.id} gives no log-probabilities"
    if not is_calibrated(target.card.id, ask.features.domain):
        return NOT_CALIBRATED
    return ""
