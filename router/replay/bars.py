"""Bars for CI: `cost>+5%` says that replay is to fail when the new policy is worse than that. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from headrace.contracts.errors import ConfigError
from headrace.router.replay.report import Metric, Report

CURE: Final = "write metric, > or <, and a percentage, as in 'cost>+5%', 'latency>+10%', 'quality<-2%' or 'changed>20%'"
_FORM: Final = re.compile(r"\s*(cost|latency|quality|changed)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Bar:
    """Fails when the metric's relative change (of `changed`: the share of decisions) is over or under `percent`."""

    metric: Metric | Literal["changed"]
    is_upper: bool
    percent: float
    text: str


def parse(text: str) -> Bar:
    """Read one expression. ConfigError with the cure for anything else."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(f"--fail-if {text!r} is no bar; {CURE}")
    metric, operator, percent = match.groups()
    return Bar(cast("Metric | Literal['changed']", metric), operator == ">", float(percent), text.strip())


def breach(bar: Bar, report: Report) -> str:
    """Return one line that names the breach, empty if there is none.

    Compared is the estimate itself, not its interval. ConfigError where the log cannot tell the metric.
    """
    if bar.metric == "changed":
        return _told(bar, 100.0 * report.changed, "of the decisions change")
    worth = report.worth.get(bar.metric)
    if worth is None or worth.change is None:
        cure = (
            "pass --outcomes (the ledger holds no feedback)"
            if bar.metric == "quality" and worth is None
            else "replay a log where it is over 0"
        )
        raise ConfigError(f"--fail-if {bar.text!r}: the log has no {bar.metric} to compare with; {cure}")
    found = worth.change
    words = f"({100 * found.low:+.1f}% to {100 * found.high:+.1f}%) for {bar.metric}"
    if worth.unsupported > 0:
        words += f", {worth.unsupported:.1%} of it by the reward model alone"
    return _told(bar, 100.0 * found.value, words)


def _told(bar: Bar, percent: float, words: str) -> str:
    is_over = percent > bar.percent if bar.is_upper else percent < bar.percent
    return f"{bar.text}: {percent:+.1f}% {words}" if is_over else ""
