"""`headrace router tune`: one bound on quality, money or time into the threshold of a config's cascade."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from headrace.contracts.errors import ConfigError
from headrace.contracts.policy import LowConfidence, Policy
from headrace.gateway.settings.load import load
from headrace.gateway.wiring.system import load_artefacts
from headrace.router.quality.backends import quality_for
from headrace.router.training.compose import Composer
from headrace.router.training.constrain import LATE_SHARE, MICROUSD_PER_QUESTION, Kind, Limit, nearest
from headrace.router.training.held_out import held_out
from headrace.router.training.metrics import Interval
from headrace.router.training.table import PACKAGED, Entry, read_table
from headrace.router.training.tune import CASCADE, RESAMPLES, Tuned, low_confidence, tune

DEFAULT_MODEL: Final = "headrace/auto"
TEN: Final = 10.0


def tune_(  # noqa: PLR0917  (options of a command line are named, never placed)
    config: Annotated[Path | None, typer.Option(help="config file (default: the packaged one)")] = None,
    virtual_model: Annotated[str, typer.Option(help="whose cascade")] = DEFAULT_MODEL,
    table: Annotated[Path, typer.Option(help="record of answers (default: the packaged one)")] = PACKAGED,
    max_loss: Annotated[
        str | None, typer.Option(help="of 100 questions, how many fewer right than always-large: 5%")
    ] = None,
    max_usd_per_1k: Annotated[str | None, typer.Option(help="USD for 1,000 requests")] = None,
    max_latency_s: Annotated[str | None, typer.Option(help="seconds within which 95% of the answers end")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON document and nothing else")] = False,
) -> None:
    """Find the max_risk that keeps a bound on recorded answers, and show what it does on others. Calls no model."""
    limit = the_limit(max_loss, max_usd_per_1k, max_latency_s)
    policy = load(config).policy
    low = low_confidence(policy, virtual_model)
    calibration, test = (read_table(table, split="calibration"), read_table(table, split="test"))
    served, apart = composers(policy, virtual_model, calibration)
    found = tune(served, apart, limit, calibration, test, table=str(table))
    if as_json:
        sys.stdout.write(json.dumps(as_object(limit, found, virtual_model, low), indent=2) + "\n")
    else:
        show(limit, found, virtual_model, low, Console())
    if found.chosen is None:
        sys.stderr.write(f"headrace router tune: {refusal(limit, found)}\n")
        raise typer.Exit(1)


def the_limit(max_loss: str | None, max_usd_per_1k: str | None, max_latency_s: str | None) -> Limit:
    """Return the one bound that was given; ConfigError for none, several, or one out of range."""
    wanted: dict[Kind, str | None] = {
        "max_loss": max_loss,
        "max_usd_per_1k": max_usd_per_1k,
        "max_latency_s": max_latency_s,
    }
    given = {kind: text for kind, text in wanted.items() if text is not None}
    if len(given) != 1:
        raise ConfigError(
            f"{len(given)} bounds given; give one of --max-loss 5%, --max-usd-per-1k 0.06, --max-latency-s 2"
        )
    ((kind, text),) = given.items()
    most = _number(text)
    if kind == "max_loss" and not 0 < most < 1:
        raise ConfigError(f"--max-loss {text!r}: give a share between 0 and 1, as 5% or 0.05")
    if (text.endswith("%") and kind != "max_loss") or not (math.isfinite(most) and most > 0):
        raise ConfigError(f"--{kind.replace('_', '-')} {text!r}: give a number above 0")
    return Limit(kind, most)


def _number(text: str) -> float:
    """Read a number or a percentage; NaN for neither."""
    number = text.strip().removesuffix("%")
    try:
        return float(number) / (100.0 if number != text.strip() else 1.0)
    except ValueError:
        return math.nan


def composers(policy: Policy, virtual_model: str, known: Sequence[Entry]) -> tuple[Composer, Composer]:
    """Return the deciding parts as a gateway has them, and as if they had not learned from the known questions."""
    artefacts = load_artefacts()
    quality = quality_for(policy, artefacts.load_quality)
    served = Composer(policy, virtual_model, artefacts.difficulty, artefacts.judge, quality)
    apart = held_out(artefacts.difficulty, artefacts.hashes["difficulty"], known)
    return served, replace(served, difficulty=apart)


def yaml_lines(virtual_model: str, low: LowConfidence, max_risk: float) -> str:
    """Return the lines to paste into the config."""
    probe = low.probe
    return (
        f"virtual_models:\n  {virtual_model}:\n    on_low_confidence:\n"
        f"      probe: {{tokens: {probe.tokens}, s: {probe.s:g}, on_uncertain: {probe.on_uncertain}}}\n"
        f"      max_risk: {max_risk:g}\n"
        f"      then: [{', '.join(low.then)}]\n"
    )


def as_object(limit: Limit, found: Tuned, virtual_model: str, low: LowConfidence) -> dict[str, Any]:
    """Return all of it as plain values."""
    chosen = found.chosen
    return {
        "virtual_model": virtual_model,
        "bound": {"kind": limit.kind, "most": limit.most},
        "max_risk": None if chosen is None else chosen.max_risk,
        "yaml": None if chosen is None else yaml_lines(virtual_model, low, chosen.max_risk),
        "calibration": {"questions": found.questions, "tried": [asdict(one) for one in found.trials]},
        "nearest": asdict(nearest(found.trials)) if chosen is None else None,
        "test": {
            "questions": found.test_questions,
            "strategies": {name: asdict(one) for name, one in found.shown.items()},
            "share_of_resamples_that_hold": found.holds,
            "best_constant": found.constant,
        },
    }


def refusal(limit: Limit, found: Tuned) -> str:
    """Say that no threshold keeps the bound, and which comes nearest."""
    near = nearest(found.trials)
    return (
        f"no max_risk keeps {told(limit)}; the nearest is {near.max_risk:g}, {_burden(limit, near.burden)} and up to"
        f" {_burden(limit, near.bound)} with 95% confidence: allow more, or send more questions"
        f" {'up' if limit.kind == 'max_loss' else 'to cheaper tiers'} by the rules of `select`"
    )


def show(limit: Limit, found: Tuned, virtual_model: str, low: LowConfidence, console: Console) -> None:
    """Print the lines to paste, what was tried, and what the choice does on the test split."""
    if found.chosen is not None:
        console.print(f"# {told(limit)}", highlight=False, markup=False)
        console.print(yaml_lines(virtual_model, low, found.chosen.max_risk), highlight=False, markup=False)
    console.print(_tried(limit, found))
    if found.chosen is None:
        return
    console.print(_shown(limit, found))
    for line in remarks(found):
        console.print(line, highlight=False, markup=False)


def remarks(found: Tuned) -> Iterator[str]:
    """Yield what the tables do not say."""
    yield f"the bound holds in {found.holds:.1%} of {RESAMPLES:,} resamples of the test questions"
    yield f"best constant at that cost, by the calibration questions: {found.constant}"
    over = found.shown[CASCADE].over_random
    if over.high < 0:
        yield (
            f"warning: it is {-over.value:.1f} points below a coin between always small and always large of the same"
            " cost: on these questions this small tier does not pay"
        )


def told(limit: Limit) -> str:
    """Say the bound in words."""
    if limit.kind == "max_loss":
        return f"at most {100 * limit.most:g} of 100 questions lost against the large tier"
    if limit.kind == "max_usd_per_1k":
        return f"at most ${limit.most:g} for 1,000 requests"
    return f"{1 - LATE_SHARE:.0%} of the answers within {limit.most:g} s"


def _heading(limit: Limit) -> str:
    words: dict[Kind, str] = {"max_loss": "lost %", "max_usd_per_1k": "USD per 1,000"}
    return words.get(limit.kind, "too late %")


def _burden(limit: Limit, value: float) -> str:
    if limit.kind == "max_loss":
        return f"{100 * value:.1f} of 100 lost"
    if limit.kind == "max_usd_per_1k":
        return f"${value:.4g}"
    return f"{value:.1%} later"


def _tried(limit: Limit, found: Tuned) -> Table:
    percent = 1.0 if limit.kind == "max_usd_per_1k" else 100.0
    table = Table(title=f"tried on {found.questions} calibration questions, judged by what has not seen them")
    for heading in ("max_risk", "right %", "USD per 1,000", _heading(limit), "upper 95%", "keeps it"):
        table.add_column(heading, justify="right")
    for one in found.trials:
        table.add_row(
            f"{one.max_risk:g}{' *' if one is found.chosen else ''}",
            f"{100 * one.right:.1f}",
            f"{one.cost / MICROUSD_PER_QUESTION:.4g}",
            f"{percent * one.burden:.3g}",
            f"{percent * one.bound:.3g}",
            "yes" if one.is_certified else "no",
        )
    return table


def _shown(limit: Limit, found: Tuned) -> Table:
    is_money = limit.kind == "max_usd_per_1k"
    headings = ("right %", "USD/1,000", "seconds", *(() if is_money else (_heading(limit),)), "over random")
    title = f"what it does on {found.test_questions} test questions, 95% intervals"
    table = Table("", title=title, box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in found.shown.items():
        burden = () if is_money else (_percent(one.burden),)
        table.add_row(
            name, *map(_interval, (one.right_percent, one.usd_per_1k, one.latency_s, *burden, one.over_random))
        )
    return table


def _percent(one: Interval) -> Interval:
    return Interval(100 * one.value, 100 * one.low, 100 * one.high)


def _interval(one: Interval) -> str:
    value, low, high = (round(number, 6) + 0.0 for number in (one.value, one.low, one.high))
    shown = f"{value:.1f}" if abs(value) >= TEN else f"{value:.3g}"
    return shown if low == high else f"{shown}\n{_end(low)} .. {_end(high)}"


def _end(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= TEN else f"{value:.2g}"
