"""`headrace replay`: what another policy would have done with the ledger's requests, and what that is worth."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headrace.contracts.errors import ConfigError
from headrace.gateway.ledger.files import newest_first
from headrace.gateway.settings.load import load
from headrace.gateway.wiring.system import load_artefacts
from headrace.router.replay import bars
from headrace.router.replay.decisions import replanner
from headrace.router.replay.estimators import Name
from headrace.router.replay.log import Line, Log, read_ledger, read_scores
from headrace.router.replay.report import Figure, Report, replay

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ID_CHARACTERS: Final = len("dec_") + 32
WORDS: Final[dict[Name, str]] = {
    "ips": "IPS",
    "snips": "SNIPS",
    "dr": "doubly robust",
    "dm": "model only (direct method)",
}


@app.command(name="replay")
def replay_(
    ledger: Annotated[Path, typer.Option(help="The ledger's folder, or one file of it.")],
    policy: Annotated[Path, typer.Option(help="The config file with the new policy.")],
    outcomes: Annotated[Path | None, typer.Option(help='JSONL of {"decision", "score": 0..1}, for quality.')] = None,
    fail_if: Annotated[list[str] | None, typer.Option(help="A bar such as 'cost>+5%'; exit code 1 if over.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Decision ids to name for each kind of change.")] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Decide every logged request again with another policy; estimate its cost, latency and quality."""
    wanted = [bars.parse(text) for text in fail_if or ()]
    settings, artefacts = load(policy), load_artefacts()
    log = read_ledger(lines(ledger_files(ledger)))
    scores = read_scores(lines([_file(outcomes)])) if outcomes is not None else {}
    plan = replanner(settings.policy, lambda model, domain: artefacts.judge.is_calibrated(model=model, domain=domain))
    report = replay(log, settings.policy, plan, scores=scores, examples=examples)
    breaches = [line for line in (bars.breach(bar, report) for bar in wanted) if line]
    if as_json:
        sys.stdout.write(json.dumps(as_object(log, report, breaches), indent=2) + "\n")
    else:
        show(log, report, Console())
    if breaches:
        sys.stderr.write(f"headrace replay: over the bar: {'; '.join(breaches)}\n")
        raise typer.Exit(1)


def ledger_files(path: Path) -> list[Path]:
    """Return the ledger's files, the oldest first. ConfigError when there are none."""
    files = list(reversed(list(newest_first(path)))) if path.is_dir() else [_file(path)]
    if not files:
        raise ConfigError(f"{path}: no ledger file in this folder; name the folder that `ledger.folder` sets")
    return files


def lines(files: Sequence[Path]) -> Iterator[Line]:
    """Yield the lines of files in order."""
    for path in files:
        with path.open("rb") as source:
            for number, text in enumerate(source, 1):
                yield Line(str(path), number, text)


def as_object(log: Log, report: Report, breaches: Sequence[str]) -> dict[str, Any]:
    """Return the report as plain values, with what of the log could not be used."""
    unused = {
        "unplanned": log.unplanned,
        "asides": log.asides,
        "torn": log.torn,
        "faulty": log.faulty,
        "first_faulty": log.first_faulty,
    }
    return {**asdict(report), "unused": unused, "breaches": list(breaches)}


def show(log: Log, report: Report, console: Console) -> None:
    """Print the report as tables."""
    console.print(
        f"{report.requests} requests decided again, {report.changed:.1%} of the decisions change", highlight=False
    )
    for words, count, more in (
        ("without a plan (refused, or an embedding), left out", log.unplanned, ""),
        ("lines of another kind, such as shadows, left out", log.asides, ""),
        ("torn lines, left out", log.torn, ""),
        ("lines that are no whole records, left out", log.faulty, f"; the first: {log.first_faulty}"),
        ("refused by the new policy, in no estimate", report.refused, ""),
    ):
        if count:
            console.print(f"{words}: {count}{more}", highlight=False, markup=False)
    if report.moves:
        table = Table(title="changed decisions")
        for heading in ("old rule", "tiers", "new rule", "tiers", "requests"):
            table.add_column(heading, overflow="fold")
        table.add_column("for example", no_wrap=True, min_width=ID_CHARACTERS)
        for move in report.moves:
            told = (move.old_rule, move.old, move.new_rule, move.new, f"{move.requests:.6g}", "\n".join(move.examples))
            table.add_row(*map(escape, told))
        console.print(table)
    if report.worth:
        console.print(_worth(report))
    if report.overlap is not None:
        seen = report.overlap
        console.print(
            f"overlap: {seen.unsupported:.1%} without support, largest weight {seen.largest_weight:.3g}, effective "
            f"sample size {seen.effective_size:.0f} of {report.requests - report.refused}",
            highlight=False,
        )
    for warning in report.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False)


def _worth(report: Report) -> Table:
    table = Table(
        "", "logged", *WORDS.values(), "change (doubly robust)", title="worth of the new policy, 95% intervals"
    )
    for metric, worth in report.worth.items():
        cells = {name: _cell(worth.estimates.get(name)) for name in WORDS}
        if worth.unsupported > 0:
            cells["dr"] += f"\n{worth.unsupported:.1%} model only"
        moved = worth.change
        share = (
            "-" if moved is None else f"{100 * moved.value:+.1f}%\n{100 * moved.low:+.1f} .. {100 * moved.high:+.1f}"
        )
        table.add_row(
            f"{metric}, {worth.unit}\n{worth.requests} requests", f"{worth.logged:.4g}", *cells.values(), share
        )
    return table


def _cell(figure: Figure | None) -> str:
    return "no support" if figure is None else f"{figure.value:.4g}\n{figure.low:.4g} .. {figure.high:.4g}"


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    return path
