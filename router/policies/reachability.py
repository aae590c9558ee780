"""Which rules of an ordered list can never match.

Signals are independent of each other, so every signal's values fall into finitely many cells: values that no comparison
of the list can tell apart. A condition is then a set of boxes (one set of cells per signal, kept as a bit mask), and a
rule is reachable exactly when some box of its condition is not covered by the rules before it. The cells are tested
with the same `compare` that decides requests. Lists too tangled for the bounds below are called reachable: the answer
errs on that side only.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.contracts.policy import AllOf, AnyOf, Comparison, Condition, Not, Rule, Scalar, Signal
from headrace.router.policies.conditions import KINDS, compare, comparisons

MAX_BOXES: Final = 512

Variable = tuple[Signal, str]
Box = Mapping[Variable, int]  # a variable that is not named may have any value
Cells = Mapping[Variable, Sequence[Scalar | None]]


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A rule that no request can match, and the reason."""

    index: int
    rule_id: str
    why: str


class _TooTangledError(Exception):
    """The bound on boxes was passed; nothing can be said."""


def unreachable(rules: Sequence[Rule]) -> list[Unreachable]:
    """Return the rules that can never be the first match, in order. Sound: a reachable rule is never returned."""
    cells = _cells(itertools.chain.from_iterable(comparisons(rule.when) for rule in rules))
    conditions = [_try_boxes(rule.when, cells) for rule in rules]
    left: list[Box] = [{}]
    found: list[Unreachable] = []
    for index, (rule, boxes) in enumerate(zip(rules, conditions, strict=True)):
        if boxes is None:
            continue
        if not any(_meet(box, free) is not None for box in boxes for free in left):
            found.append(Unreachable(index, rule.id, _why(index, rules, conditions, cells)))
        after = _try_subtract(left, boxes, cells)
        # Where the bound is passed the rule takes nothing away: too much stays free, which errs towards reachable.
        left = left if after is None else after
    return found


def _why(index: int, rules: Sequence[Rule], conditions: Sequence[list[Box] | None], cells: Cells) -> str:
    own = conditions[index]
    if not own:
        return "its conditions contradict each other"
    earlier = [(rules[i].id, boxes) for i, boxes in enumerate(conditions[:index]) if boxes]
    for rule_id, boxes in earlier:
        if _try_subtract(own, boxes, cells) == []:
            return f"rule {rule_id!r} above matches everything it would match"
    names = [rule_id for rule_id, boxes in earlier if any(_meet(a, b) is not None for a in own for b in boxes)]
    return f"the rules {', '.join(map(repr, names))} above together match everything it would match"


def _try_boxes(condition: Condition | None, cells: Cells) -> list[Box] | None:
    if condition is None:
        return [{}]
    try:
        return _boxes(condition, cells, wanted=True)
    except _TooTangledError:
        return None


def _boxes(condition: Condition, cells: Cells, *, wanted: bool) -> list[Box]:
    """Return the boxes in which the condition is `wanted`; negation is pushed down to the comparisons."""
    match condition:
        case Comparison():
            variable = (condition.signal, condition.name or "")
            mask = sum(
                1 << bit
                for bit, value in enumerate(cells[variable])
                if compare(condition.op, value, condition.value) is wanted
            )
            return [{variable: mask}] if mask else []
        case Not():
            return _boxes(condition.part, cells, wanted=not wanted)
        case AllOf() | AnyOf():
            parts = [_boxes(part, cells, wanted=wanted) for part in condition.parts]
            return _every(parts) if isinstance(condition, AllOf) is wanted else _bounded(itertools.chain(*parts))


def _every(parts: Iterable[list[Box]]) -> list[Box]:
    boxes: list[Box] = [{}]
    for part in parts:
        boxes = _bounded(met for a in boxes for b in part if (met := _meet(a, b)) is not None)
    return boxes


def _try_subtract(free: list[Box], taken: list[Box], cells: Cells) -> list[Box] | None:
    try:
        for box in taken:
            free = _bounded(itertools.chain.from_iterable(_minus(part, box, cells) for part in free))
    except _TooTangledError:
        return None
    return free


def _meet(left: Box, right: Box) -> Box | None:
    """Return the common part of two boxes, None when it is empty."""
    met = dict(left)
    for variable, mask in right.items():
        common = met[variable] & mask if variable in met else mask
        if not common:
            return None
        met[variable] = common
    return met


def _minus(box: Box, taken: Box, cells: Cells) -> list[Box]:
    """Return what is left of the box, as boxes that do not overlap."""
    if _meet(box, taken) is None:
        return [box]
    left: list[Box] = []
    rest = dict(box)
    for variable, mask in taken.items():
        own = rest.get(variable, (1 << len(cells[variable])) - 1)
        if outside := own & ~mask:
            left.append({**rest, variable: outside})
        rest[variable] = own & mask
    return left


def _bounded(boxes: Iterable[Box]) -> list[Box]:
    kept = list(itertools.islice(boxes, MAX_BOXES + 1))
    if len(kept) > MAX_BOXES:
        raise _TooTangledError
    return kept


def _cells(compared: Iterable[Comparison]) -> Cells:
    """Return one value out of every cell of every variable the comparisons name."""
    constants: dict[Variable, set[Scalar]] = {}
    for comparison in compared:
        wanted = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
        constants.setdefault((comparison.signal, comparison.name or ""), set()).update(wanted)
    return {variable: _samples(variable[0], wanted) for variable, wanted in constants.items()}


def _samples(signal: Signal, constants: set[Scalar]) -> list[Scalar | None]:
    kind = KINDS[signal]
    if kind == "flag":
        return [False, True]
    if kind in {"fraction", "optional"}:
        return [*_fraction_samples(_finite(constants)), *([None] if kind == "optional" else [])]
    if kind == "count":
        return [*_count_samples(_finite(constants))]
    texts = {value for value in constants if isinstance(value, str)} | {""}
    other = next(name for i in itertools.count() if (name := f"other-{i}") not in texts)
    return [*sorted(texts), other, *([None] if kind == "named" else [])]


def _finite(constants: set[Scalar]) -> set[int | float]:
    return {
        value for value in constants if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    }


def _fraction_samples(constants: set[int | float]) -> list[float]:
    points = sorted({0.0, 1.0, *(float(value) for value in constants if 0 <= value <= 1)})
    middles = (low + (high - low) / 2 for low, high in itertools.pairwise(points))
    return sorted({*points, *middles})


def _count_samples(constants: set[int | float]) -> list[int]:
    points = {0}
    for value in constants:
        points.update((math.floor(value) - 1, math.floor(value), math.ceil(value), math.ceil(value) + 1))
    return sorted(point for point in points if point >= 0)
