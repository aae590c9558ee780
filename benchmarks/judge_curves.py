"""How far can the judge's word be trusted? Risk against the share of drafts kept, and promised against found.

`make bench NAME=judge_curves`, under a minute. Each recipe is fitted on all calibration questions and asked about the
test questions, none of which is among them. Beside the shipped recipe stand the trivial one (the domain's
share right) and the raw log-probabilities.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.answer_side.recipes import PRESENT, RECIPES, Case, cases, right
from benchmarks.cascade.long_table import Line, write
from benchmarks.cascade.record import Doubles
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.metrics import group_numbers
from headrace.router.training.table import models_of, read_table

RESULT: Final = Path(__file__).parent / "results" / "judge_curves.csv"
TRIVIAL: Final = "share right of the domain (trivial)"
RAW: Final = "exp(mean log-probability), not calibrated"
SHOWN: Final = (PRESENT, TRIVIAL, RAW)
SHARES: Final = tuple(number / 20 for number in range(1, 21))
BINS: Final = 8
RESAMPLES: Final = 1000


def risk_at(chance: Doubles, is_right: Doubles, share: float, bootstrap: Bootstrap) -> Doubles:
    """Return the share wrong among the `share` of answers with the highest chance: as it is, then in every draw.

    Answers of equal chance are kept in proportion.
    """
    levels, member = np.unique(-chance, return_inverse=True)
    each = np.zeros((levels.size, chance.size))
    each[member, np.arange(chance.size)] = 1.0
    weights = bootstrap.weights @ each.T
    wrong = (bootstrap.weights * (1.0 - is_right)) @ each.T
    before = np.cumsum(weights, axis=1) - weights
    kept = np.clip((share - before) / np.where(weights > 0, weights, 1.0), 0.0, 1.0)
    return np.asarray((kept * wrong).sum(axis=1) / (kept * weights).sum(axis=1))


def bins(chance: Doubles) -> list[Doubles]:
    """Return the members of BINS bins of as many answers, lowest chance first, as 0 and 1 for every answer."""
    order = np.argsort(chance, kind="stable")
    found = []
    for part in np.array_split(order, BINS):
        inside = np.zeros(chance.size)
        inside[part] = 1.0
        found.append(inside)
    return found


def tabulate(model: str, calibration: Sequence[Case], test: Sequence[Case], resamples: int) -> Iterator[Line]:
    """Yield the curves of one model: every recipe's risk, and what it promised and what was found in each bin."""
    groups = group_numbers([case.entry.question_id.removesuffix("#json") for case in test])
    bootstrap, is_right = Bootstrap.of(groups, resamples=resamples), right(test)
    for name in SHOWN:
        chance = RECIPES[name](calibration, test)
        place = ("test", model, name)
        for share in SHARES:
            risk = 100 * risk_at(chance, is_right, share, bootstrap)
            yield Line.drawn((*place, f"risk_percent_of_best_{share:.0%}"), risk, len(test))
        for number, inside in enumerate(bins(chance), start=1):
            weight = np.maximum(bootstrap.means(inside), 1e-12)
            promised, found = (100 * bootstrap.means(inside * one) / weight for one in (chance, is_right))
            yield Line.drawn((*place, f"promised_percent_bin_{number}"), promised, int(inside.sum()))
            yield Line.drawn((*place, f"right_percent_bin_{number}"), found, int(inside.sum()))


def main() -> None:
    """Judge every model's answers and write the result file."""
    calibration, test = read_table(split="calibration"), read_table(split="test")
    lines = [
        line
        for model in models_of(calibration)
        for line in tabulate(model, cases(calibration, model), cases(test, model), RESAMPLES)
    ]
    write(RESULT, lines, ("numpy",))
    for line in lines:
        print(" | ".join(line.cells()))


if __name__ == "__main__":
    main()
