"""The tables of `headrace explain`, readable at 80 columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.contracts.policy import Scalar
from headrace.contracts.routing import Plan
from headrace.router.explaining.difficulty import Part
from headrace.router.explaining.explanation import Explanation
from headrace.router.explaining.nearest import Neighbour
from headrace.router.explaining.quality import Gain
from headrace.router.policies.candidates import Candidate
from headrace.router.policies.counterfactual import Change, Op

MOST_ROWS: Final = 7
MOST_CHARS: Final = 90
SIGNS: Final[dict[Op, str]] = {"eq": "", "gt": "over ", "gte": "from ", "lt": "under ", "lte": "up to "}


def show(plan: Plan, told: Explanation, console: Console) -> None:
    """Print a plan and what is told of it."""
    console.print(_seen(plan))
    console.print(_tried(plan))
    if told.candidates:
        console.print(_candidates(told.candidates))
    if told.parts:
        console.print(_difficulty(plan, told.parts))
    if told.gain is not None:
        console.print(_gain(told.gain))
    if told.candidates:
        console.print(_changes(plan, told.changes))
    if told.nearest:
        console.print(_nearest(told.nearest))


def _seen(plan: Plan) -> Table:
    table = Table(title="what the rules see", show_header=False)
    features = plan.features
    rows = {
        "difficulty": f"{features.difficulty:.3f}",
        "domain": features.domain + (" (unfamiliar)" if features.unfamiliar else ""),
        "prompt tokens": str(features.prompt_tokens),
        "language": features.language,
        "turns": str(features.turns),
        "rule": plan.rule,
        "because": plan.reason,
        "expected cost": _usd(plan.expected_cost_microusd),
    }
    if plan.scores:
        rows["scores"] = ", ".join(f"{tier} {score:.4g}" for tier, score in plan.scores.items())
        rows["propensity"] = f"{plan.propensity:.4g}"
    if plan.pace is not None:
        rows["budget"] = "taken for full: what is spent is only known to a running gateway"
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table


def _tried(plan: Plan) -> Table:
    table = Table("#", "tier", "model", "answer is judged", title="what is tried, in order")
    for place, target in enumerate(plan.targets, 1):
        judged = "yes" if target.judged else f"no: {target.why_not_judged}"
        table.add_row(str(place), target.tier, target.card.id, escape(judged))
    for member in plan.panel.members if plan.panel is not None else ():
        table.add_row("=", member.tier, member.card.id, "expert, side by side")
    for tier, why in plan.skipped.items():
        table.add_row("-", tier, "left out", escape(why))
    return table


def _candidates(candidates: Sequence[Candidate]) -> Table:
    """Return the candidates; scores and chances only where a strategy compared."""
    compared = any(each.score is not None for each in candidates)
    caption = "" if candidates[0].basis == "quality model" else "quality: from the difficulty, the strongest tier as 1"
    table = Table("tier", title="candidates", caption=caption)
    table.add_column("backend", overflow="fold")
    for name in ("quality", "cost", "score", "chance")[: 4 if compared else 2]:
        table.add_column(name, justify="right")
    table.add_column("able", overflow="fold")
    for each in candidates:
        cells = [each.tier, each.backend, f"{each.quality:.3f}", _usd(each.cost_microusd)]
        if compared:
            cells += [_word(each.score), _word(each.chance)]
        table.add_row(*cells, escape(f"no: {each.why_left_out}") if each.why_left_out else "yes")
    return table


def _difficulty(plan: Plan, parts: Sequence[Part]) -> Table:
    """Return the heaviest parts of the raw score on either side, and the sum of the rest."""
    start, others = parts[0].value, parts[1:]
    score = sum(part.value for part in parts)
    harder = [part for part in others if part.value > 0]
    easier = [part for part in others if part.value < 0]
    judged = f"{plan.features.difficulty:.3f}" + (
        ", at least the average: unfamiliar" if plan.features.unfamiliar else ""
    )
    table = Table(
        title="what the difficulty is made of",
        caption=f"they add up to the raw score {score:.3f}, calibrated to {judged}",
    )
    for name in ("harder", "easier"):
        table.add_column(name, overflow="fold")
        table.add_column("", justify="right")
    rows = ([("every question begins with", start), *_heaviest(harder)], [*_heaviest(easier)])
    for place in range(max(map(len, rows))):
        cells = [side[place] if place < len(side) else None for side in rows]
        told = (cell for pair in cells for cell in (("", "") if pair is None else (escape(pair[0]), f"{pair[1]:+.3f}")))
        table.add_row(*told)
    return table


def _heaviest(parts: Sequence[Part]) -> Iterator[tuple[str, float]]:
    for part in parts[:MOST_ROWS]:
        yield _named(part), part.value
    rest = parts[MOST_ROWS:]
    if rest:
        yield f"{len(rest)} more", sum(part.value for part in rest)


def _named(part: Part) -> str:
    if part.kind == "count":
        return f"count of {part.name}" if part.name.endswith("s") else part.name.replace("_", " ")
    return f"“{part.name}”" if part.kind in {"word", "pair"} else part.name


def _gain(gain: Gain) -> Table:
    table = Table(
        "feature",
        title=f"predicted gain {gain.value:+.3f}: {gain.strong} over {gain.weak}",
        caption=f"each feature alone at the mean of the panel {gain.panel}: they need not add up",
    )
    for name in ("here", "usually", "gain"):
        table.add_column(name, justify="right")
    for part in gain.parts[:MOST_ROWS]:
        table.add_row(part.name.replace("_", " "), f"{part.value:.3g}", f"{part.usual:.3g}", f"{part.gain:+.3f}")
    return table


def _changes(plan: Plan, changes: Sequence[Change]) -> Table:
    first = {target.backend for target in plan.targets[:1]}
    moves = any(first != {*each.first} for each in changes)
    caption = "each alone, by the least that does it" + ("" if moves else "; none begins with another backend")
    table = Table(title="what would have changed the decision", caption=caption)
    for name in ("signal", "now", "with", "rule", "begins with"):
        table.add_column(name, overflow="fold")
    for each in changes:
        value = each.value if isinstance(each.value, tuple) else (each.value,)
        wanted = SIGNS[each.op] + ", ".join(map(_word, value))
        table.add_row(escape(each.what), escape(_word(each.was)), escape(wanted), each.rule, ", ".join(each.first))
    return table


def _word(value: Scalar | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _nearest(neighbours: Iterable[Neighbour]) -> Table:
    table = Table(
        title="nearest training questions", caption="how right the small and the large role were; -: not asked"
    )
    for name in ("alike", "small", "large"):
        table.add_column(name, justify="right")
    table.add_column("question")
    for one in neighbours:
        large = "-" if one.large is None else f"{one.large:.2g}"
        table.add_row(f"{one.likeness:.2f}", f"{one.small:.2g}", large, f"{escape(_short(one.text))} ({one.source})")
    return table


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS].rstrip()} …"


def _usd(microusd: int) -> str:
    return f"${microusd / 1_000_000:.6f}"
