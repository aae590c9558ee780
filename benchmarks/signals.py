"""Which sign tells a right answer from a wrong one? Every signal and every recipe of the judge, a model and a domain.

`make bench NAME=signals`, about three minutes. Signals are compared on the calibration questions, for that is where one
may choose among them; the recipes are cross-fitted there and then asked once about the test questions, fitted on all
calibration questions. Intervals are 95% bootstrap over questions.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.answer_side.recipes import PRESENT, RECIPES, Case, cases, cross_fitted, right
from benchmarks.answer_side.retrieved import supports
from benchmarks.overhead import host
from headrace.router.training.answer_metrics import (
    Doubles,
    Measure,
    aurc,
    auroc,
    bootstrapped,
    brier,
    difference,
    ece,
)
from headrace.router.training.corpus import data_dir
from headrace.router.training.metrics import Interval
from headrace.router.training.signals import SELF_CONSISTENCY, STATED, Signal, signals
from headrace.router.training.table import HUNDREDTHS, models_of, read_table

RESULT: Final = Path(__file__).parent / "results" / "signals.csv"
RESAMPLES: Final = 1000
SEED: Final = 20261122
LEAST_EACH: Final = 8  # right and wrong answers, for an AUROC to say anything
POOLED: Final = "all domains pooled (trap)"
WITHIN: Final = "within domains (mean)"
RETRIEVED: Final = "retrieval support (of the question)"
# Recorded for few questions; nothing is fitted on them, so both splits are used.
SAMPLED: Final = (SELF_CONSISTENCY, STATED)
HEAD: Final = ("split", "model", "domain", "what", "answers", "right_percent", "figure", "value", "low95", "high95")

Row = tuple[str, ...]


def signal_rows(
    model: str, known: Sequence[Case], found: Mapping[str, Signal], split: str = "calibration"
) -> Iterator[Row]:
    """Yield AUROC of every signal, and AURC of those over whole answers: by domain, pooled, mean over domains."""
    for name, signal in found.items():
        read = [(case, value) for case in known if (value := signal(case.answer)) is not None]
        with_signal = [case for case, _ in read]
        values = np.array([value for _, value in read])
        figures = {"auroc": auroc} if ", first " in name else {"auroc": auroc, "aurc": aurc}
        yield from _by_domain(split, model, name, with_signal, figures, values)


def recipe_rows(model: str, calibration: Sequence[Case], test: Sequence[Case]) -> Iterator[Row]:
    """Yield what each recipe is worth, cross-fitted on the calibration split and then on the test split."""
    figures = {"auroc": auroc, "aurc": aurc, "brier": brier, "ece": ece}
    asked = {
        "calibration": (calibration, {name: cross_fitted(one, calibration) for name, one in RECIPES.items()}),
        "test": (test, {name: one(calibration, test) for name, one in RECIPES.items()}),
    }
    for split, (chosen, chances) in asked.items():
        for name, chance in chances.items():
            yield from _by_domain(split, model, name, chosen, figures, chance)
            if name != PRESENT:
                gap = difference(brier, chance, chances[PRESENT], right(chosen), resamples=RESAMPLES, seed=SEED)
                yield _row(split, model, POOLED, name, right(chosen), "brier minus shipped", gap)


def repeat_rows(model: str, known: Sequence[Case]) -> Iterator[Row]:
    """Yield how far a greedy answer of a later run agrees with the first, and how often its grade changes."""
    again = [(case, case.answer.again) for case in known if case.answer.again is not None]
    if not again:
        return
    is_right = right([case for case, _ in again])
    figures = {
        "agreement": [one.agreement / HUNDREDTHS for _, one in again],
        "right_then": [float(one.correct) for _, one in again],
        "grade_changed": [float(one.correct != case.answer.correct) for case, one in again],
    }
    for figure, values in figures.items():
        place = ("both", model, "all", "asked again greedily", str(len(again)), _percent(is_right), figure)
        yield (*place, f"{float(np.mean(values)):.4f}", "", "")


def retrieved_rows(model: str, known: Sequence[Case], supports: Mapping[str, float]) -> Iterator[Row]:
    """Yield what the support that a search found for the question tells of the answer, where a search was possible."""
    read = [case for case in known if case.entry.question_id in supports]
    values = np.array([supports[case.entry.question_id] for case in read])
    yield from _by_domain("both", model, RETRIEVED, read, {"auroc": auroc, "aurc": aurc}, values)


def _by_domain(  # noqa: PLR0917  (one column each)
    split: str, model: str, name: str, chosen: Sequence[Case], figures: Mapping[str, Measure], values: Doubles
) -> Iterator[Row]:
    is_right = right(chosen)
    domains = np.array([case.domain for case in chosen])
    within: dict[str, list[float]] = {}
    for domain in (*sorted(set(domains)), POOLED):
        rows = np.flatnonzero(domains == domain) if domain != POOLED else np.arange(len(chosen))
        if not _tells(is_right[rows]):
            continue
        for figure, measure in figures.items():
            seen = bootstrapped(measure, values[rows], is_right[rows], resamples=RESAMPLES, seed=SEED)
            yield _row(split, model, domain, name, is_right[rows], figure, seen)
            if domain != POOLED:
                within.setdefault(figure, []).append(seen.value)
    if within:
        mean = float(np.mean(within["auroc"]))
        yield (split, model, WITHIN, name, str(len(chosen)), _percent(is_right), "auroc", f"{mean:.4f}", "", "")


def _tells(is_right: Doubles) -> bool:
    return bool(min(is_right.sum(), is_right.size - is_right.sum()) >= LEAST_EACH)


def _row(  # noqa: PLR0917  (one column each)
    split: str, model: str, domain: str, name: str, is_right: Doubles, figure: str, seen: Interval
) -> Row:
    cells = (f"{one:.4f}" for one in (seen.value, seen.low, seen.high))
    return (split, model, domain, name, str(is_right.size), _percent(is_right), figure, *cells)


def _percent(is_right: Doubles) -> str:
    return f"{100 * float(is_right.mean()):.1f}" if is_right.size else ""


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the result file."""
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    with path.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, *HEAD])
        out.writerows([*stamp.values(), *row] for row in rows)


def main() -> None:
    """Compare every signal and every recipe of every model."""
    calibration, test = (read_table(split=split) for split in ("calibration", "test"))
    models = models_of(calibration)
    searched = supports(data_dir(), {one.question_id for one in (*calibration, *test)})
    rows: list[Row] = []
    for model in models:
        known, asked = cases(calibration, model), cases(test, model)
        others = tuple(one for one in models if one != model)
        found = signals(others)
        rows += signal_rows(model, known, {name: one for name, one in found.items() if name not in SAMPLED})
        rows += signal_rows(model, [*known, *asked], {name: found[name] for name in SAMPLED}, split="both")
        rows += recipe_rows(model, known, asked)
        rows += repeat_rows(model, [*known, *asked])
        rows += retrieved_rows(model, [*known, *asked], searched)
        print(f"{model}: {len(rows)} rows so far", flush=True)
    write(RESULT, rows)


if __name__ == "__main__":
    main()
