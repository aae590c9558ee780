"""What would have changed a decision: every knob turned alone, by as little as it takes. Pure.

Nothing is inferred: each change told here was planned with, so it holds for exactly this request.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec

from headrace.contracts.errors import Overloaded, RequestError
from headrace.contracts.policy import Scalar, VirtualModel
from headrace.contracts.routing import Plan
from headrace.router.policies.knobs import Dial, Switch, Turn, signal_knobs, strategy_knobs
from headrace.router.policies.names import resolve
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask

MOST_EDGES: Final = 8  # between two neighbouring points
MOST_HALVINGS: Final = 64

Op = Literal["eq", "gt", "gte", "lt", "lte"]


class Decision(msgspec.Struct, frozen=True):
    """What is compared: the rule, who answers first (a panel: its members), and the tiers that follow."""

    rule: str
    first: tuple[str, ...]
    tiers: tuple[str, ...] = ()

    def is_like(self, other: "Decision") -> bool:
        """Tell whether the same rule lets the same backend begin."""
        return (self.rule, self.first) == (other.rule, other.first)


class Change(msgspec.Struct, frozen=True):
    """One thing that, changed alone, makes another decision.

    what: a signal ("difficulty", "metadata team") or a number of the rule's strategy ("lambda", "deadline_s", "draw",
    "budget left", "quality of B"). was: its value, None where it is absent or not to be shown. op and value: the
    smallest change; a word may have several values that all lead there, None is absent. tried: one that was planned
    with. rule, first, tiers: the decision it makes.
    """

    what: str
    was: Scalar | None
    op: Op
    value: Scalar | tuple[Scalar | None, ...] | None
    tried: Scalar | None
    rule: str
    first: tuple[str, ...]
    tiers: tuple[str, ...]


def changes(ask: Ask, plan: Plan, domains: Iterable[str] = ()) -> tuple[Change, ...]:
    """Return the smallest change of every knob that makes another backend begin or, these last, another rule match.

    plan: what `decide(ask)` made. domains: those that the difficulty model tells apart. Empty where the client named
    the tier or model itself.
    """
    model = resolve(ask.policy, ask.call.model)
    if not isinstance(model, VirtualModel):
        return ()
    now = _decision(plan)
    found: list[Change] = []
    for knob in (*signal_knobs(ask, model, domains), *strategy_knobs(ask, model, plan)):
        found += _of_dial(knob, now) if isinstance(knob, Dial) else _of_switch(knob, now)
    return tuple(sorted(found, key=lambda change: change.first == now.first))


def _of_switch(knob: Switch, now: Decision) -> Iterator[Change]:
    reached: dict[tuple[str, tuple[str, ...]], tuple[Decision, list[Scalar | None]]] = {}
    for value in knob.others:
        made = _replanned(knob.turned, value)
        if made is not None and not made.is_like(now):
            reached.setdefault((made.rule, made.first), (made, []))[1].append(value)
    for made, values in reached.values():
        shown = values[0] if len(values) == 1 else tuple(values)
        was = knob.now if knob.is_told else None
        yield Change(knob.name, was, "eq", shown, values[0], made.rule, made.first, made.tiers)


def _of_dial(knob: Dial, now: Decision) -> Iterator[Change]:
    """Yield, for each other decision, the nearest number at which it is made."""
    nearest: dict[tuple[str, tuple[str, ...]], tuple[float, Change]] = {}
    for is_up in (False, True):
        for value, before, made in _edges(knob, now, is_up=is_up):
            if made is None or made.is_like(now):
                continue
            distance = abs(value - knob.now)
            key = (made.rule, made.first)
            if key not in nearest or distance < nearest[key][0]:
                nearest[key] = (distance, _told(knob, value, before, made, is_up=is_up))
    for _, change in sorted(nearest.values(), key=lambda pair: pair[0]):
        yield change


def _edges(knob: Dial, now: Decision, *, is_up: bool) -> Iterator[tuple[float, float, Decision | None]]:
    """Yield (first number of another decision, last one before it, that decision), going away from where it stands."""
    away = [point for point in knob.points if (point > knob.now if is_up else point < knob.now)]
    last: Decision | None = now
    for start, point in pairwise([knob.now, *(away if is_up else reversed(away))]):
        end = _replanned(knob.turned, _as(knob, point))
        low = start
        for _ in range(MOST_EDGES):
            if _same(last, end):
                break
            before, low = _bisected(knob, low, point, last)
            last = _replanned(knob.turned, _as(knob, low))
            yield low, before, last
        last = end


def _bisected(knob: Dial, near: float, far: float, last: Decision | None) -> tuple[float, float]:
    """Return two neighbouring numbers between which the decision `last`, made at `near` and not at `far`, is lost."""
    if not knob.is_whole:  # where a rule draws a line, the edge is at a point: found without halving down to it
        beyond, short = math.nextafter(near, far), math.nextafter(far, near)
        if not _same(_replanned(knob.turned, beyond), last):
            return near, beyond
        if _same(_replanned(knob.turned, short), last):
            return short, far
    for _ in range(MOST_HALVINGS):
        middle = (near + far) // 2 if knob.is_whole else near + (far - near) / 2
        if knob.is_whole and middle in {near, far}:
            middle = math.ceil((near + far) / 2)
        if middle in {near, far}:
            break
        if _same(_replanned(knob.turned, _as(knob, middle)), last):
            near = middle
        else:
            far = middle
    return near, far


def _told(knob: Dial, value: float, before: float, made: Decision, *, is_up: bool) -> Change:
    """Say the edge as a rule would: over 0.5 where 0.5 itself is a point of the dial, else from the number on."""
    is_open = before in knob.points and not knob.is_whole and value not in knob.points
    op: Op = ("gt" if is_open else "gte") if is_up else ("lt" if is_open else "lte")
    shown = _as(knob, before if is_open else value)
    tried, was = _as(knob, value), _as(knob, knob.now)
    return Change(knob.name, was, op, shown, tried, made.rule, made.first, made.tiers)


def _as(knob: Dial, value: float) -> float:
    return int(value) if knob.is_whole else value


def _same(one: Decision | None, other: Decision | None) -> bool:
    return one.is_like(other) if one is not None and other is not None else one is other


def _replanned(turned: Turn, value: Scalar | None) -> Decision | None:
    """Return the decision with the knob turned; None where the request would be refused."""
    try:
        return _decision(decide(turned(value)))
    except (RequestError, Overloaded):
        return None


def _decision(plan: Plan) -> Decision:
    first: Sequence[str] = [member.backend for member in plan.panel.members] if plan.panel is not None else ()
    tiers = tuple(dict.fromkeys(target.tier for target in plan.targets))
    return Decision(plan.rule, tuple(first) or (plan.targets[0].backend,), tiers)
