"""What is wrong with a policy beyond its syntax: every problem with its place in the document and its cure."""

from collections.abc import Iterator
from typing import Final

from headrace.contracts.policy import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    FailureRule,
    LowConfidence,
    Not,
    Policy,
    Shadow,
    VirtualModel,
)
from headrace.router.policies.conditions import KINDS, ORDER, Kind, is_number
from headrace.router.policies.names import TIER_PREFIX, is_known, known_names
from headrace.router.policies.problem import Path, Problem, repeated, tier_name, unknown
from headrace.router.policies.reachability import unreachable
from headrace.router.policies.strategies import reach
from headrace.router.policies.validate_use import use_problems

MAX_RETRIES: Final = 5
ERROR_KINDS: Final = ("any", "timeout", "unavailable", "protocol", "http_429", "http_500", "http_502", "http_503")
HTTP_ERRORS: Final = range(400, 600)


def problems(policy: Policy) -> list[Problem]:
    """Return everything that makes the policy unfit to serve, in the order of the document. Pure."""
    found = [*_tiers(policy)]
    if not policy.virtual_models:
        found.append(Problem(("virtual_models",), "no virtual model", "name one, such as headrace/auto"))
    for name, model in policy.virtual_models.items():
        found.extend(_virtual_model(policy, name, model))
    found.extend(_aliases(policy))
    return found


def _tiers(policy: Policy) -> Iterator[Problem]:
    if not policy.tiers:
        yield Problem(("tiers",), "no tier", "list at least one tier, cheapest first")
    seen: set[str] = set()
    for index, tier in enumerate(policy.tiers):
        here: Path = ("tiers", index)
        if tier.id in seen:
            yield repeated((*here, "id"), "tier", tier.id)
        seen.add(tier.id)
        yield from _backend(policy, (*here, "default"), tier.default)
        for domain, backend in tier.specialists.items():
            yield from _backend(policy, (*here, "specialists", domain), backend)
        if tier.concurrency < 1:
            yield Problem((*here, "concurrency"), f"concurrency {tier.concurrency}", "use 1 or more")
        if tier.queue < 0:
            yield Problem((*here, "queue"), f"queue {tier.queue}", "use 0 or more")


def _backend(policy: Policy, path: Path, backend: str) -> Iterator[Problem]:
    card = policy.cards.get(backend)
    if card is None:
        yield unknown(path, "backend", backend, policy.cards)
        return
    prices = (card.price.input_usd_per_mtok, card.price.output_usd_per_mtok)
    if not all(price.is_finite() and price >= 0 for price in prices):
        yield Problem(
            path,
            f"backend {backend!r} has no usable price",
            f"set backends.{backend}.price with input_usd_per_mtok and output_usd_per_mtok of 0 or more",
        )


def _virtual_model(policy: Policy, name: str, model: VirtualModel) -> Iterator[Problem]:
    here: Path = ("virtual_models", name)
    others = {TIER_PREFIX + tier.id for tier in policy.tiers} | {card.id for card in policy.cards.values()}
    if name in others | set(policy.cards):
        yield Problem(here, f"{name!r} is already the name of a tier or a model", "choose another name")
    yield from _select(policy, (*here, "select"), model)
    if model.on_low_confidence is not None:
        yield from _low_confidence(policy, (*here, "on_low_confidence"), model, model.on_low_confidence)
    yield from _failures(policy, (*here, "on_failure"), model.on_failure)
    yield from _limits((*here, "limits"), model)
    if not 0 <= model.affinity.switch_margin <= 1:
        yield Problem((*here, "affinity", "switch_margin"), "outside 0..1", "use a difference of difficulties, say 0.1")
    if model.shadow is not None:
        yield from _shadow(policy, (*here, "shadow"), model.shadow)


def _shadow(policy: Policy, here: Path, shadow: Shadow) -> Iterator[Problem]:
    yield from tier_name(policy, (*here, "to"), shadow.to)
    if not 0 < shadow.share <= 1:
        yield Problem((*here, "share"), f"share {shadow.share}", "use a number over 0 up to 1, say 0.05")
    if shadow.max_in_flight < 1:
        yield Problem((*here, "max_in_flight"), f"{shadow.max_in_flight} at once", "use 1 or more")


def _select(policy: Policy, here: Path, model: VirtualModel) -> Iterator[Problem]:
    rules = model.select
    if not rules or rules[-1].when is not None:
        yield Problem(here, "the last rule must be the default", "end the list with {id: default, use: TIER}")
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            yield repeated((*here, index, "id"), "rule", rule.id)
        seen.add(rule.id)
        yield from use_problems(policy, (*here, index, "use"), rule.use, model.limits)
        if rule.when is None and index < len(rules) - 1:
            yield Problem((*here, index), f"rule {rule.id!r} has no `when`", "only the last rule goes without; move it")
        elif rule.when is not None:
            yield from _condition((*here, index, "when"), rule.when)
    for dead in unreachable(rules):
        yield Problem(
            (*here, dead.index), f"rule {dead.rule_id!r} can never match: {dead.why}", "remove it or move it further up"
        )


def _condition(here: Path, condition: Condition) -> Iterator[Problem]:
    match condition:
        case Comparison():
            yield from _comparison(here, condition)
        case Not():
            yield from _condition((*here, "not"), condition.part)
        case AllOf() | AnyOf():
            word = "all" if isinstance(condition, AllOf) else "any"
            if not condition.parts:
                yield Problem((*here, word), f"`{word}` of nothing", "list at least one condition")
            for index, part in enumerate(condition.parts):
                yield from _condition((*here, word, index), part)


def _comparison(here: Path, comparison: Comparison) -> Iterator[Problem]:
    kind = KINDS[comparison.signal]
    named: Path = (comparison.name,) if comparison.name else ()
    path: Path = (*here, comparison.signal, *named, comparison.op)
    if (kind == "named") != bool(comparison.name):
        yield Problem(
            path,
            f"{comparison.signal} {'needs the name of what to look at' if kind == 'named' else 'takes no name'}",
            "write metadata: {NAME: {eq: VALUE}}" if kind == "named" else f"write {comparison.signal}: {{eq: VALUE}}",
        )
    values = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    if isinstance(comparison.value, tuple) != (comparison.op == "in") or not values:
        yield Problem(path, f"`{comparison.op}` got {comparison.value!r}", "`in` takes a list, the others one value")
    elif comparison.op == "present":
        if not isinstance(comparison.value, bool):
            yield Problem(path, f"`present` got {comparison.value!r}", "use true or false")
    elif comparison.op in ORDER and kind not in {"fraction", "optional", "count"}:
        yield Problem(path, f"`{comparison.op}` on {comparison.signal}, which has no order", "use eq, in or present")
    else:
        for value in values:
            if cure := _misfit(kind, value):
                yield Problem(path, f"{comparison.signal} is never {value!r}", cure)


def _misfit(kind: Kind, value: object) -> str:
    """Return the cure when a value is of the wrong type for its signal, else nothing."""
    match kind:
        case "flag":
            return "" if isinstance(value, bool) else "use true or false"
        case "text" | "named":
            return "" if isinstance(value, str) else "use text; put it in quotes"
        case "fraction" | "optional" | "count":
            return "" if is_number(value) and value == value else "use a number"  # noqa: PLR0124  (NaN is unequal to itself)


def _low_confidence(policy: Policy, here: Path, model: VirtualModel, low: LowConfidence) -> Iterator[Problem]:
    if not 0 < low.max_risk < 1:
        yield Problem((*here, "max_risk"), f"max_risk {low.max_risk}", "use a probability between 0 and 1, say 0.05")
    if low.probe.tokens < 1:
        yield Problem((*here, "probe", "tokens"), f"probe of {low.probe.tokens} tokens", "use 1 or more, say 32")
    if low.probe.s <= 0:
        yield Problem((*here, "probe", "s"), f"time bound of {low.probe.s} s", "use more than 0, say 1.5")
    if not low.then:
        yield Problem((*here, "then"), "no tier to escalate to", "name a stronger tier, or remove on_low_confidence")
    order = {tier.id: index for index, tier in enumerate(policy.tiers)}
    used = [order[tier] for rule in model.select for tier in reach(rule.use, tuple(order)) if tier in order]
    floor = min(used, default=-1)
    for index, tier in enumerate(low.then):
        yield from tier_name(policy, (*here, "then", index), tier)
        if tier in order and order[tier] <= floor:
            before = policy.tiers[floor].id
            yield Problem(
                (*here, "then", index),
                f"tier {tier!r} is not stronger than {before!r}",
                "name tiers that stand further down in `tiers`, weakest first",
            )
        floor = max(floor, order.get(tier, floor))


def _failures(policy: Policy, here: Path, rules: tuple[FailureRule, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            yield repeated((*here, index, "id"), "rule", rule.id)
        seen.add(rule.id)
        for position, kind in enumerate(rule.errors):
            if not _is_error_kind(kind):
                yield unknown((*here, index, "errors", position), "error", kind, ERROR_KINDS)
        if not rule.errors:
            yield Problem((*here, index, "errors"), "no error named", "name errors, or `any`")
        if not 0 <= rule.retries <= MAX_RETRIES:
            yield Problem((*here, index, "retries"), f"{rule.retries} retries", f"use 0 to {MAX_RETRIES}")
        for position, tier in enumerate(rule.then):
            yield from tier_name(policy, (*here, index, "then", position), tier)
        if not rule.retries and not rule.then:
            yield Problem((*here, index), f"rule {rule.id!r} does nothing", "give it `retries` or `then`")


def _is_error_kind(kind: str) -> bool:
    code = kind.removeprefix("http_")
    return kind in ERROR_KINDS or (kind.startswith("http_") and code.isdecimal() and int(code) in HTTP_ERRORS)


def _limits(here: Path, model: VirtualModel) -> Iterator[Problem]:
    limits = model.limits
    if limits.max_attempts < 1:
        yield Problem((*here, "max_attempts"), f"{limits.max_attempts} attempts", "use 1 or more")
    if limits.deadline_s <= 0:
        yield Problem((*here, "deadline_s"), f"deadline of {limits.deadline_s} s", "use more than 0")
    if limits.max_cost_microusd is not None and limits.max_cost_microusd <= 0:
        yield Problem((*here, "max_cost_usd"), "nothing may be spent", "use more than 0, or leave it out")


def _aliases(policy: Policy) -> Iterator[Problem]:
    for alias, target in policy.aliases.items():
        if is_known(policy, alias):
            yield Problem(("aliases", alias), f"{alias!r} is already a name of its own", "remove the alias")
        elif target in policy.aliases:
            yield Problem(("aliases", alias), f"{target!r} is itself an alias", "name what it stands for")
        elif not is_known(policy, target):
            yield unknown(("aliases", alias), "model", target, known_names(policy))
