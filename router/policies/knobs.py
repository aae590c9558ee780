"""What of one request could have been otherwise: its signals, and the numbers of the rule's strategy. Pure.

A knob knows where it stands and what the request would be with it turned. Who asks (key, tenant) is no knob: an
explanation must not tell one client about another. `counterfactual` turns them one at a time.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from headrace.contracts.policy import (
    BudgetPacing,
    Canary,
    Comparison,
    Epsilon,
    Experts,
    Latency,
    Policy,
    QualityAtCost,
    Rule,
    Scalar,
    Signal,
    Use,
    VirtualModel,
    Weighted,
)
from headrace.contracts.routing import Features, Pace, Plan
from headrace.router.policies.conditions import KINDS, comparisons, is_number
from headrace.router.policies.planner import FIXED_DRAW, decide
from headrace.router.policies.survey import Ask

STEPS: Final = 32  # an even grid over 0..1, for what no rule names and yet decides
MOST_TOKENS: Final = 1 << 20
MOST_TURNS: Final = 1 << 10
MOST_PRICE: Final = 1e4  # quality per milli-USD
LEAST_DEADLINE_S: Final = 1e-3
MOST_DEADLINE_S: Final = 1e3
ANOTHER: Final = "another"
TOOL: Final = {"type": "function", "function": {"name": "any", "parameters": {}}}
NEVER: Final = frozenset({"key", "tenant"})

Turn = Callable[[Scalar | None], Ask]


@dataclass(frozen=True, slots=True)
class Dial:
    """A number. points: values near which the decision may change, bounds included; is_whole: 1, 2, 3 and so on."""

    name: str
    now: float
    points: Sequence[float]
    turned: Turn
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Switch:
    """A flag or a word. others: what else it may be, None for absent. is_told: its value now may be shown."""

    name: str
    now: Scalar | None
    others: Sequence[Scalar | None]
    turned: Turn
    is_told: bool = True


def signal_knobs(ask: Ask, model: VirtualModel, domains: Iterable[str]) -> Iterator[Dial | Switch]:
    """Yield the signals of the request that a rule names or that the planner itself looks at.

    domains: those that the difficulty model tells apart, in addition to the ones that the policy names.
    """
    named = _named(model)
    yield _difficulty(ask, model, _numbers(named.get(("difficulty", ""), ())))
    yield _tokens(ask, _numbers(named.get(("prompt_tokens", ""), ())))
    specialised = {domain for tier in ask.policy.tiers for domain in tier.specialists}
    if specialised or ("domain", "") in named:
        values = _texts(named.get(("domain", ""), ())) | specialised | set(domains)
        yield _switch(ask, "domain", values)
    for (signal, name), wanted in named.items():
        kind = KINDS[signal]
        if signal == "turns":
            points = {float(each) for each in (1, MOST_TURNS)} | _beside(_numbers(wanted))
            yield Dial(
                "turns", ask.features.turns, _within(points, 1, MOST_TURNS), _turned(ask, "turns"), is_whole=True
            )
        elif kind == "optional":
            yield from _found(ask, signal, _numbers(wanted))
        elif kind == "flag":
            now = bool(getattr(ask.features, signal))
            yield Switch(signal, now, (not now,), _flagged(ask, signal))
        elif signal == "language":
            yield _switch(ask, "language", _texts(wanted) | {ANOTHER})
        elif kind == "named":
            yield _carried(ask, signal, name, _texts(wanted))


def strategy_knobs(ask: Ask, model: VirtualModel, plan: Plan) -> Iterator[Dial]:
    """Yield the numbers that decided within the rule: its own, and those that it compared."""
    rule = next((each for each in model.select if each.id == plan.rule), None)
    if rule is None:
        return
    match rule.use:
        case QualityAtCost() | Experts():
            yield _price(ask, model, rule, rule.use)
            yield from _qualities(ask)
        case BudgetPacing():
            yield _spare(ask, plan)
            yield from _qualities(ask)
        case Latency():
            yield _deadline(ask, model, rule, rule.use, plan.scores)
        case Weighted() | Canary() | Epsilon():
            ends = itertools.accumulate(plan.chances.values())
            yield Dial(
                "draw", FIXED_DRAW if ask.draw is None else ask.draw, _within(ends, 0.0, 1.0 - 2**-53), _drawn(ask)
            )
        case str():
            return


def _difficulty(ask: Ask, model: VirtualModel, named: Iterable[float]) -> Dial:
    points = {*named, *_grid()}
    if model.on_low_confidence is not None:
        points.add(model.on_low_confidence.max_risk)
    if ask.previous is not None:
        margin = model.affinity.switch_margin
        points |= {ask.previous.difficulty - margin, ask.previous.difficulty + margin}
    return Dial("difficulty", ask.features.difficulty, _within(points, 0.0, 1.0), _turned(ask, "difficulty"))


def _tokens(ask: Ask, named: Iterable[float]) -> Dial:
    contexts = {float(card.context_tokens) for card in ask.policy.cards.values()}
    powers = {float(1 << power) for power in range(MOST_TOKENS.bit_length())}
    points = _within(_beside({*named, *contexts}) | powers, 1, MOST_TOKENS)
    return Dial("prompt_tokens", ask.features.prompt_tokens, points, _turned(ask, "prompt_tokens"), is_whole=True)


def _found(ask: Ask, signal: Signal, named: Iterable[float]) -> Iterator[Dial]:
    """Yield what was measured of this request; what was not measured stands nowhere and is not turned."""
    now = getattr(ask.features, signal)
    if now is not None:
        yield Dial(signal, now, _within({*named, *_grid()}, 0.0, 1.0), _turned(ask, signal))


def _price(ask: Ask, model: VirtualModel, rule: Rule, use: QualityAtCost | Experts) -> Dial:
    """Return lambda as a dial. Two plans tell what each candidate costs, and so where two are worth the same."""
    now = use.quality_per_milliusd

    def turned(value: Scalar | None) -> Ask:
        return _with_use(ask, model, rule, replace(use, quality_per_milliusd=float(value or 0.0)))

    scores, dearer = decide(turned(now)).scores, decide(turned(now + 1.0)).scores
    cost = {name: scores[name] - dearer[name] for name in scores.keys() & dearer.keys()}
    meeting = {
        now + (scores[one] - scores[other]) / (cost[one] - cost[other])
        for one, other in itertools.combinations(sorted(cost), 2)
        if cost[one] != cost[other]
    }
    around = {one * factor for one in meeting for factor in (0.999, 1.0, 1.001)}
    points = _within({*around, *(10.0 ** (place / 4) for place in range(-16, 17))}, 0.0, MOST_PRICE)
    return Dial("lambda", now, points, turned)


def _qualities(ask: Ask) -> Iterator[Dial]:
    for backend, now in ask.features.quality.items():

        def turned(value: Scalar | None, backend: str = backend) -> Ask:
            quality = {**ask.features.quality, backend: float(value or 0.0)}
            return msgspec.structs.replace(ask, features=msgspec.structs.replace(ask.features, quality=quality))

        yield Dial(f"quality of {backend}", now, _grid(), turned)


def _spare(ask: Ask, plan: Plan) -> Dial:
    pace = plan.pace or Pace(0, 0, 1.0)

    def turned(value: Scalar | None) -> Ask:
        other = msgspec.structs.replace(pace, spare=float(value or 0.0))
        return msgspec.structs.replace(ask, pace=lambda _, __: other)

    return Dial("budget left", pace.spare, _grid(), turned)


def _deadline(ask: Ask, model: VirtualModel, rule: Rule, use: Latency, seconds: Mapping[str, float]) -> Dial:
    points = _within(
        {*seconds.values(), *(10.0 ** (place / 4) for place in range(-12, 13))}, LEAST_DEADLINE_S, MOST_DEADLINE_S
    )

    def turned(value: Scalar | None) -> Ask:
        return _with_use(ask, model, rule, replace(use, deadline_s=float(value or LEAST_DEADLINE_S)))

    return Dial("deadline_s", use.deadline_s, points, turned)


def _drawn(ask: Ask) -> Turn:
    return lambda value: msgspec.structs.replace(ask, draw=float(value or 0.0))


def _with_use(ask: Ask, model: VirtualModel, rule: Rule, use: Use) -> Ask:
    """Return the request under the policy whose rule uses another strategy."""
    select = tuple(replace(each, use=use) if each.id == rule.id else each for each in model.select)
    models = {**ask.policy.virtual_models, model.name: replace(model, select=select)}
    policy: Policy = replace(ask.policy, virtual_models=models)
    return msgspec.structs.replace(ask, policy=policy)


def _named(model: VirtualModel) -> dict[tuple[Signal, str], list[Comparison]]:
    found: dict[tuple[Signal, str], list[Comparison]] = {}
    for comparison in (one for rule in model.select for one in comparisons(rule.when)):
        if comparison.signal not in NEVER:
            found.setdefault((comparison.signal, comparison.name or ""), []).append(comparison)
    return found


def _values(named: Iterable[Comparison]) -> Iterator[Scalar]:
    for one in named:
        yield from one.value if isinstance(one.value, tuple) else (one.value,)


def _numbers(named: Iterable[Comparison]) -> set[float]:
    return {float(value) for value in _values(named) if is_number(value)}


def _texts(named: Iterable[Comparison]) -> set[str]:
    return {value for value in _values(named) if isinstance(value, str)}


def _beside(numbers: Iterable[float]) -> set[float]:
    return {float(round(number)) + step for number in numbers for step in (-1, 0, 1)}


def _grid() -> list[float]:
    return [step / STEPS for step in range(STEPS + 1)]


def _within(points: Iterable[float], least: float, most: float) -> list[float]:
    return sorted({least, most, *(point for point in points if least <= point <= most)})


def _features(ask: Ask, features: Features) -> Ask:
    return msgspec.structs.replace(ask, features=features)


def _turned(ask: Ask, field: str) -> Turn:
    return lambda value: _features(ask, msgspec.structs.replace(ask.features, **{field: value}))


def _switch(ask: Ask, field: str, values: Iterable[str]) -> Switch:
    now = getattr(ask.features, field)
    return Switch(field, now, sorted(set(values) - {now}), _turned(ask, field))


def _flagged(ask: Ask, signal: Signal) -> Turn:
    """Return what sets a flag; what it needs of a model goes with it."""

    def turned(value: Scalar | None) -> Ask:
        call = ask.call
        if signal == "tools":
            call = msgspec.structs.replace(call, tools=(TOOL,) if value else ())
        if signal == "json":
            call = msgspec.structs.replace(call, response_format={"type": "json_object"} if value else None)
        return msgspec.structs.replace(_turned(ask, signal)(value), call=call)

    return turned


def _carried(ask: Ask, signal: Signal, name: str, wanted: Iterable[str]) -> Switch:
    """Return a header or a metadata value. A header's own value is never shown: it may be a secret."""
    field = "metadata" if signal == "metadata" else "headers"
    held: Mapping[str, str] = getattr(ask.features, field)
    now = held.get(name)
    others: list[str | None] = [*sorted({*wanted, ANOTHER} - {now}), None]

    def turned(value: Scalar | None) -> Ask:
        left = {key: one for key, one in held.items() if key != name}
        kept = left if value is None else {**left, name: str(value)}
        return _features(ask, msgspec.structs.replace(ask.features, **{field: kept}))

    shown = [one for one in others if one is not None or now is not None]
    return Switch(f"{signal} {name}", now, shown, turned, is_told=signal == "metadata")
