"""From a policy, a request and its features to a plan. Pure: the same function plans, explains and is replayed.

The order of work: the name, then what each tier can do (capabilities, context, cost, liveness), then the rules, then
affinity, then the chain of escalation. So difficulty never picks a tier that cannot answer.
"""

from collections.abc import Mapping
from typing import Final

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import ConfigError
from headrace.contracts.policy import Experts, Limits, OneTier, Policy, Rule, Shadow, Tier, VirtualModel
from headrace.contracts.routing import Features, Plan, PreviousTurn, Target
from headrace.router.policies.choice import Choice
from headrace.router.policies.conditions import holds, mentions
from headrace.router.policies.cost import expected_cost
from headrace.router.policies.names import resolve
from headrace.router.policies.panel import Seats, seat
from headrace.router.policies.strategies import choose, keeps, pick, sticky_draw
from headrace.router.policies.support import escalation
from headrace.router.policies.survey import (
    Ask,
    IsCalibrated,
    IsLive,
    LoadOf,
    Options,
    PaceOf,
    nearest_able,
    survey,
    unknown,
)

NOT_CALIBRATED: Final = "not calibrated for this domain"
FIXED_DRAW: Final = 0.5
NOTHING: Final[Mapping[str, float]] = {}
NAMED: Final = Choice(NOTHING, NOTHING, "")  # of a rule that names a tier


def make_plan(
    policy: Policy,
    call: ChatCall,
    features: Features,
    *,
    is_live: IsLive,
    is_calibrated: IsCalibrated,
    previous: PreviousTurn | None = None,
    draw: float | None = None,
    affinity: str = "",
    load: LoadOf = unknown,
    pace: PaceOf = unknown,
) -> Plan:
    """Decide what will be tried. Calls no model.

    is_live(backend id); is_calibrated(model id, domain); previous: the conversation's last turn, for affinity.
    draw: a random number in [0, 1) for strategies that need one, None to plan as with 0.5 and say so. affinity: the key
    of the conversation or user; where the virtual model has an affinity, its number comes from the key instead.
    load(tier id, backend id), pace(virtual model, rule id): what is measured and spent now, None where nothing is.
    NotFound for an unknown name; InvalidRequest naming the field that no tier can serve; Overloaded when every tier
    that could serve it is down.
    """
    return decide(Ask(policy, call, features, is_live, is_calibrated, previous, draw, affinity, load, pace))


def decide(ask: Ask) -> Plan:
    """Decide as `make_plan` does from all that is known of a request."""
    named = resolve(ask.policy, ask.call.model)
    if isinstance(named, VirtualModel):
        return _routed(ask, named)
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


def _routed(ask: Ask, model: VirtualModel) -> Plan:
    options = survey(ask, ask.policy.tiers, model.limits)
    rule = escalation(ask.policy, model, ask.features) or _first_match(model, ask.features)
    if isinstance(rule.use, str):
        reasons = [f"rule {rule.id!r} chose {rule.use!r}"]
        start = nearest_able(rule.use, ask.policy, options)
        if start != rule.use:
            reasons.append(f"{options.skipped[rule.use]}, so {start!r}")
        targets = _tried(ask, model, rule, options, start, reasons=reasons)
        return _plan(ask, model, rule, options, targets, reasons=reasons)
    if isinstance(rule.use, Experts):
        return _seated(ask, model, rule, rule.use, options)
    return _drawn(ask, model, rule, rule.use, options)


def _seated(ask: Ask, model: VirtualModel, rule: Rule, strategy: Experts, options: Options) -> Plan:
    """Plan where experts are asked side by side; a panel of one is a tier chosen like any other."""
    seats = seat(strategy, ask, model, options)
    best = seats.members[0]
    reasons = [f"rule {rule.id!r}: {seats.words}"]
    choice = Choice({best.tier: 1.0}, seats.scores, seats.words)
    targets: tuple[Target, ...] = (_marked(best, "experts answer side by side"),)
    if len(seats.members) > 1:
        return _plan(
            ask, model, rule, options, targets, reasons=reasons, chances=choice.chances, choice=choice, seats=seats
        )
    chosen = Options({**options.able, best.tier: best}, options.skipped)
    targets = _tried(ask, model, rule, chosen, best.tier, reasons=reasons, choice=choice)
    return _plan(ask, model, rule, chosen, targets, reasons=reasons, chances={targets[0].tier: 1.0}, choice=choice)


def _drawn(ask: Ask, model: VirtualModel, rule: Rule, strategy: OneTier, options: Options) -> Plan:
    """Plan where a strategy chooses; the propensity counts every number that would have led to the same first target.

    Two tiers can lead there: affinity keeps a conversation whatever is drawn, and a draft nobody may trust is left.
    """
    choice = choose(strategy, ask, model, rule, options)
    draw, how = _number(ask, model)
    start = pick(choice.chances, draw)
    by = f"; {how}" if len(choice.chances) > 1 else ""
    reasons = [f"rule {rule.id!r}: {choice.words}{by}, so {start!r}"]
    targets = _tried(ask, model, rule, options, start, reasons=reasons, choice=choice)
    chances: dict[str, float] = {}
    for tier, chance in choice.chances.items():
        first = _tried(ask, model, rule, options, tier, reasons=[], choice=choice)[0].tier
        chances[first] = chances.get(first, 0.0) + chance
    if len(chances) == 1:
        chances = dict.fromkeys(chances, 1.0)  # certain, without the rounding of a sum
    return _plan(ask, model, rule, options, targets, reasons=reasons, chances=chances, choice=choice)


def _plan(
    ask: Ask,
    model: VirtualModel,
    rule: Rule,
    options: Options,
    targets: tuple[Target, ...],
    *,
    reasons: list[str],
    chances: Mapping[str, float] = NOTHING,
    choice: Choice = NAMED,
    seats: Seats | None = None,
) -> Plan:
    features = ask.features
    cost = expected_cost(targets, ask.call, features.prompt_tokens, features.difficulty)
    return Plan(
        virtual_model=model.name,
        revision=ask.policy.revision,
        rule=rule.id,
        features=features,
        targets=targets,
        skipped=options.skipped,
        low_confidence=model.on_low_confidence if seats is None and rule.judged else None,
        on_failure=model.on_failure,
        limits=model.limits,
        failure_targets={
            tier: _marked(options.able[tier], "taken after a failure")
            for failure in model.on_failure
            for tier in failure.then
            if tier in options.able
        },
        expected_cost_microusd=cost if seats is None else seats.cost_microusd,
        propensity=chances[targets[0].tier] if chances else 1.0,
        reason="; ".join(reasons),
        chances=chances,
        scores=choice.scores,
        pace=choice.pace,
        panel=None if seats is None else seats.panel,
        shadow=None if model.shadow is None else _mirror(ask, model.shadow, options),
    )


def _mirror(ask: Ask, shadow: Shadow, options: Options) -> Target | None:
    """Return who is asked too, for a share of the conversations; the number that decides is no strategy's own."""
    if not ask.affinity or sticky_draw(f"shadow {ask.policy.revision}", ask.affinity) >= shadow.share:
        return None
    target = options.able.get(shadow.to)
    return None if target is None else _marked(target, "a shadow's answer is not sent")


def _number(ask: Ask, model: VirtualModel) -> tuple[float, str]:
    """Return the number that decides a strategy, in [0, 1), and where it comes from."""
    if ask.affinity and model.affinity.key != "none":
        draw = sticky_draw(ask.policy.revision, ask.affinity)
        return draw, f"{draw:.4f} stands for this {model.affinity.key}"
    if ask.draw is None:
        return FIXED_DRAW, f"nothing is drawn here, {FIXED_DRAW} is taken"
    return ask.draw, f"{ask.draw:.4f} was drawn"


def _tried(
    ask: Ask,
    model: VirtualModel,
    rule: Rule,
    options: Options,
    start: str,
    *,
    reasons: list[str],
    choice: Choice = NAMED,
) -> tuple[Target, ...]:
    """Return what is tried when the rule chose `start`: affinity first, then the chain of escalation."""
    previous = ask.previous
    could_stay = previous is not None and previous.tier in options.able and previous.tier not in choice.barred
    if previous is not None and could_stay and _stays(ask, model, rule, start, previous):
        start = previous.tier
        reasons.append(f"the conversation stays on {start!r}")
    if choice.is_final:
        return (_marked(options.able[start], "nothing stronger may follow"),)
    if not rule.judged:
        return (_marked(options.able[start], f"rule {rule.id!r} has judged: false"),)
    return _judging(ask, model, _chain(start, model, ask.policy, options), reasons)


def _first_match(model: VirtualModel, features: Features) -> Rule:
    for rule in model.select:
        if rule.when is None or holds(rule.when, features):
            return rule
    raise ConfigError(f"{model.name!r} has no default rule; let the last one stand without 'when'")


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
    return not is_stronger or mentions(rule.when, "difficulty") or keeps(rule.use, previous.tier)


def _chain(start: str, model: VirtualModel, policy: Policy, options: Options) -> tuple[Target, ...]:
    """Return the start and, in order, each able tier of `then` that is stronger than the one before."""
    chain = [start]
    if model.on_low_confidence is None:
        return (options.able[start],)
    order = [tier.id for tier in policy.tiers]
    for tier in model.on_low_confidence.then:
        if tier in options.able and order.index(tier) > order.index(chain[-1]):
            chain.append(tier)
    return tuple([options.able[tier] for tier in chain])


def _judging(ask: Ask, model: VirtualModel, targets: tuple[Target, ...], reasons: list[str]) -> tuple[Target, ...]:
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
        why = _why_not_judged(ask, target)
        if why == NOT_CALIBRATED and not is_sure:
            reasons.append(f"{target.card.id} is {why} and the question is not surely easy, so {target.tier!r} is left")
        else:
            marked.append(_marked(target, why))
    kept = (*marked, targets[-1])[: model.limits.max_attempts]
    return (*kept[:-1], _marked(kept[-1], "nothing stronger is left"))


def _marked(target: Target, why_not_judged: str) -> Target:
    """Return the target, judged unless there is a reason why not."""
    return Target(target.tier, target.backend, target.card, not why_not_judged, why_not_judged)


def _why_not_judged(ask: Ask, target: Target) -> str:
    if ask.call.n > 1:
        return "n is over 1"
    if "logprobs" not in target.card.capabilities:
        return f"{target.card.id} gives no log-probabilities"
    if not ask.is_calibrated(target.card.id, ask.features.domain):
        return NOT_CALIBRATED
    return ""
