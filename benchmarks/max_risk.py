"""Which `max_risk` does the default cascade deserve? Every choice replayed on the calibration questions, cross-fitted.

`make bench NAME=max_risk`, seconds. The calibration questions are cut into five folds; for each fold the difficulty
model (`headrace router hold-out`) and the answer judge are fitted without its questions, so neither has seen what it
judges. None of the questions of `cascade_live` is read: a choice made here can be tested there.
"""

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.cascade_live import LARGE, SMALL, VIRTUAL_MODEL, plain, slice_of
from benchmarks.overhead import host
from headrace.contracts.policy import Policy
from headrace.gateway.settings.load import load as load_settings
from headrace.gateway.settings.load import packaged
from headrace.router.cascade.acceptance import load as load_judge
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training.compose import Composer, Result, cards_by_model, random_mix, single
from headrace.router.training.held_out import held_out
from headrace.router.training.table import Entry, read_table
from headrace.router.training.tune import cross_fitted

RESULT: Final = Path(__file__).parent / "results" / "max_risk.csv"
RISKS: Final = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
FIGURES: Final = ("right_percent", "random_percent", "minus_random_points", "kept", "right_when_kept_percent", "cost")


def figures(entries: Sequence[Entry], cascade: Sequence[Result], policy: Policy) -> list[float]:
    """Return FIGURES of one risk on one slice; random: the mix of the two models that costs the same."""
    cards = cards_by_model(policy)
    small, large = ([single(one, cards[name]) for one in entries] for name in (SMALL, LARGE))
    costs = [statistics.fmean(one.cost_microusd for one in results) for results in (small, large, cascade)]
    rights = [100 * statistics.fmean(one.right for one in results) for results in (small, large, cascade)]
    mixed = random_mix((costs[0], costs[1]), costs[2], (rights[0], rights[1]))
    kept = [one.right for one in cascade if one.model == SMALL]
    return [rights[2], mixed, rights[2] - mixed, len(kept), 100 * statistics.fmean(kept) if kept else 100.0, costs[2]]


def main() -> None:
    """Replay every risk and write the table."""
    policy = load_settings(packaged()).policy
    every = read_table(split="calibration")
    difficulty = load_difficulty()
    apart = held_out(difficulty, difficulty.sha256, every)
    entries = plain(every)
    found = cross_fitted(Composer(policy, VIRTUAL_MODEL, apart, load_judge()), entries, every, RISKS)
    slices = {"all": range(len(entries)), "easy": [n for n, one in enumerate(entries) if slice_of(one.kind) == "easy"]}
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    with RESULT.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, "slice", "max_risk", "questions", *FIGURES])
        for name, rows in slices.items():
            for risk, results in found.items():
                chosen = [entries[row] for row in rows]
                cells = [f"{one:.4g}" for one in figures(chosen, [results[row] for row in rows], policy)]
                out.writerow([*stamp.values(), name, risk, len(chosen), *cells])
                print(name, risk, *(f"{figure} {cell}" for figure, cell in zip(FIGURES, cells, strict=True)))


if __name__ == "__main__":
    main()
