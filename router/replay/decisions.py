"""Deciding the ledger's requests again with another policy, and how the decisions differ. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import Overloaded, RequestError
from headrace.contracts.policy import Policy
from headrace.contracts.routing import Features, Plan
from headrace.router.policies.conditions import comparisons
from headrace.router.policies.planner import make_plan
from headrace.router.policies.survey import IsCalibrated
from headrace.router.replay.log import Entry, Step

GRID: Final = 256

Replan = Callable[[ChatCall, Features], Sequence[Plan]]


class Choice(msgspec.Struct, frozen=True):
    """One thing the new policy may do with a request, and with what probability."""

    rule: str
    steps: tuple[Step, ...]
    probability: float


class Redecided(msgspec.Struct, frozen=True):
    """A logged request with the new policy's choices; none, and the reason, where the new policy refuses it."""

    entry: Entry
    choices: tuple[Choice, ...]
    refusal: str = ""

    @property
    def stays(self) -> float:
        """Probability with which the new policy does what was done."""
        return sum(choice.probability for choice in self.choices if choice.steps == self.entry.plan.targets)


@dataclass(frozen=True, slots=True)
class Move:
    """Requests that go from one decision to another. requests: how many are expected to (a sum of probabilities)."""

    old_rule: str
    old: str
    new_rule: str
    new: str
    requests: float
    examples: tuple[str, ...]


def replanner(policy: Policy, is_calibrated: IsCalibrated) -> Replan:
    """Return what plans a call with the policy as a gateway would whose backends are all up, outside a conversation.

    Where a strategy leaves something to chance, one plan is made for every tier that can come first.
    """

    def plan(call: ChatCall, features: Features, draw: float) -> Plan:
        return make_plan(policy, call, features, is_live=lambda _: True, is_calibrated=is_calibrated, draw=draw)

    def replan(call: ChatCall, features: Features) -> Sequence[Plan]:
        one = plan(call, features, 0.5)
        found = {one.targets[0].tier: one}
        for draw in _draws(one.chances) if len(one.chances) > 1 else ():
            if found.keys() == one.chances.keys():
                break
            other = plan(call, features, draw)
            found.setdefault(other.targets[0].tier, other)
        return tuple(found.values())

    return replan


def redecide(entries: Iterable[Entry], replan: Replan) -> list[Redecided]:
    """Decide every logged request again."""
    return [_redecided(entry, replan) for entry in entries]


def moves(decided: Iterable[Redecided], examples: int = 3) -> list[Move]:
    """Return the changed decisions in groups, the largest first, each with up to `examples` decision ids."""
    counts: dict[tuple[str, str, str, str], float] = {}
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for one in decided:
        old = one.entry.plan
        for rule, steps, probability in _new(one):
            if steps == old.targets:
                continue
            key = (old.rule, chain(old.targets, steps), rule, chain(steps, old.targets) or one.refusal)
            counts[key] = counts.get(key, 0.0) + probability
            if len(found.setdefault(key, [])) < examples:
                found[key].append(one.entry.decision)
    ordered = sorted(counts, key=lambda key: (-counts[key], key))
    return [Move(*key, counts[key], tuple(found[key])) for key in ordered]


def chain(steps: Sequence[Step], other: Sequence[Step]) -> str:
    """Name a chain by its tiers, `small? > large` (`?`: judged), and by models too where the tiers do not tell."""
    is_told = [step.tier for step in steps] != [step.tier for step in other]
    models = [step.model for step in steps] == [step.model for step in other]
    shown = (step.tier if is_told or models else f"{step.tier} ({step.model})" for step in steps)
    return " > ".join(name + ("?" if step.judged else "") for name, step in zip(shown, steps, strict=True))


def unseen_names(policy: Policy, entries: Sequence[Entry]) -> list[str]:
    """Return the headers and metadata keys that the policy's rules read and no record carries, as `header x-team`."""
    carried = {f"metadata {name}" for entry in entries for name in entry.features.metadata}
    carried |= {f"header {name}" for entry in entries for name in entry.features.headers}
    rules = (rule for model in policy.virtual_models.values() for rule in model.select)
    read = {f"{one.signal} {one.name}" for rule in rules for one in comparisons(rule.when) if one.name is not None}
    return sorted(read - carried)


def _redecided(entry: Entry, replan: Replan) -> Redecided:
    seen = entry.features
    call = ChatCall(
        model=entry.model,
        endpoint="chat",
        messages=(),
        wire={},
        stream=entry.stream,
        tools=({"type": "function"},) if seen.tools else (),
        response_format={"type": "json_object"} if seen.json else None,
    )
    features = Features(**msgspec.structs.asdict(seen), key=entry.key, tenant=entry.tenant)
    try:
        plans = replan(call, features)
    except (RequestError, Overloaded) as exc:
        return Redecided(entry, (), f"refused: {exc.message}")
    whole = sum(plan.propensity for plan in plans) if len(plans) > 1 else 1.0
    return Redecided(entry, tuple(_choice(plan, whole) for plan in plans))


def _choice(plan: Plan, whole: float) -> Choice:
    """Return the plan as a choice. whole: what the propensities of all plans add up to; 1 but for rounding."""
    steps = tuple(Step(target.tier, target.card.id, target.judged) for target in plan.targets)
    return Choice(plan.rule, steps, plan.propensity / whole if whole != 1.0 else plan.propensity)


def _draws(chances: Mapping[str, float]) -> Iterator[float]:
    """Yield numbers in [0, 1) that find every tier: the middles of the tiers' parts, then an even grid.

    The grid finds what the middles miss: parts of two tiers that lead to the same first target need not be neighbours.
    """
    end = 0.0
    for chance in chances.values():
        yield end + chance / 2
        end += chance
    yield from ((place + 0.5) / GRID for place in range(GRID))


def _new(one: Redecided) -> Iterator[tuple[str, tuple[Step, ...], float]]:
    for choice in one.choices:
        yield choice.rule, choice.steps, choice.probability
    if not one.choices:
        yield "-", (), 1.0
