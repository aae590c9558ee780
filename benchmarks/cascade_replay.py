"""Does it pay to route first and then cascade? Replayed outcomes of many models, every draft paid, every control.

`make bench NAME=cascade_replay`, about a minute. Two sets of ZeroEval: grade-school sums and code reasoning. A weak
and a peer model draft; agreement keeps the weak answer, else the strong model answers; the question-side model may
skip the drafts. Everything is fitted and every price chosen without the fold that is reported. Cost is active
parameters times characters written: a stand-in, not money. The non-inferiority margin is 1 point below strong.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.cascade import controls
from benchmarks.cascade.chosen import BUDGET, Aim, Run, Setup, guards, lift, run
from benchmarks.cascade.long_table import Line, below_zero, write
from benchmarks.cascade.question_side import Apart, predict_apart
from benchmarks.cascade.record import Doubles, Record, read_record, read_sizes
from benchmarks.cascade.staged import Outcome, Recipe, Trio, agreement, always
from headrace.router.cascade.extract import extract_answer
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.corpus import FOLDS, data_dir
from headrace.router.training.design import Design

RESULT: Final = Path(__file__).parent / "results" / "cascade_replay.csv"
MARGIN_POINTS: Final = 1.0
AIMS: Final[Mapping[Aim, str]] = {
    "margin": "within the margin",
    "budget": f"within {BUDGET:.0%} of strong's cost",
    "coin": "most above the coin",
}
PLAIN: Final = "cascade without route first"
RECIPES: Final[Mapping[Recipe, str]] = {"route first": "route first, then cascade", "stages": "every stage decided"}
SHARES: Final = tuple(number / 10 for number in range(11))


@dataclass(frozen=True, slots=True)
class Source:
    """One set, how its answers are compared, and the trios: weak, peer, strong.

    Trios are chosen by size alone: a weak model under 10 billion parameters, a smaller peer, a strong one of 30
    billion or more. `confirming` were not looked at while the method was built.
    """

    name: str
    spell: Callable[[str], str]
    trios: tuple[tuple[str, str, str], ...]
    confirming: tuple[tuple[str, str, str], ...]


def _trios(llama_405b: str) -> tuple[tuple[str, str, str], ...]:
    return (
        ("gemma-2-9b-it", "Phi-3.5-mini-instruct", llama_405b),
        ("gemma-2-9b-it", "Phi-3.5-mini-instruct", "Meta-Llama-3.1-70B-Instruct"),
        ("Meta-Llama-3.1-8B-Instruct", "Phi-3.5-mini-instruct", llama_405b),
    )


_CONFIRMING: Final = (
    ("Meta-Llama-3-8B-Instruct", "gemma-2-2b-it", "Meta-Llama-3-70B-Instruct"),
    ("Yi-1.5-9B-Chat", "Phi-3.5-mini-instruct", "Yi-1.5-34B-Chat"),
    ("Qwen2-7B-Instruct", "gemma-2-2b-it", "Mistral-Large-2"),
)
SOURCES: Final = (
    Source(
        "zeroeval_gsm",
        extract_answer,
        (
            *_trios("Llama-3.1-405B-Instruct-Turbo"),
            ("Qwen2-7B-Instruct", "Phi-3.5-mini-instruct", "Qwen2-72B-Instruct"),
        ),
        _CONFIRMING,
    ),
    # The record holds the literal itself, in which every space and quote counts.
    Source(
        "zeroeval_crux",
        str,
        (
            *_trios("Llama-3.1-405B-Inst@sambanova"),
            ("Qwen2.5-7B-Instruct", "Qwen2.5-3B-Instruct", "Qwen2.5-72B-Instruct"),
        ),
        _CONFIRMING,
    ),
)


def strategies(setup: Setup) -> tuple[dict[str, Outcome], dict[str, Run], list[Line], str]:
    """Return the strategies of one setup, the runs behind them, the lines of their prices, and the setup's name."""
    name = f"{setup.weak} + {setup.peer} -> {setup.strong}"
    plain = run(setup, "cascade")
    found = {PLAIN: next(iter(plain.outcomes.values())), f"{PLAIN}, guarded": plain.chosen("coin", guarded=True)[0]}
    runs = {label: run(setup, recipe) for recipe, label in RECIPES.items()}
    prices = []
    for label, one in runs.items():
        for aim, words in AIMS.items():
            outcome, chosen = one.chosen(aim, guarded=True)
            off = sum(price is None for price in chosen)
            place = ("", name, f"{label}, {words}", "folds_without_drafts")
            prices.append(Line.plain(place, float(off), setup.size))
            # A budget that strong alone breaks is kept in every fold or not at all.
            if aim != "budget" or off == 0:
                found[f"{label}, {words}"] = outcome
    return found, runs, prices, name


def tabulate(setup: Setup, bootstrap: Bootstrap, source: str, *, is_drawn: bool) -> Iterator[Line]:
    """Yield every figure of one setup: controls, strategies, and where `is_drawn` the frontiers of the plots."""
    found, runs, prices, name = strategies(setup)
    bench = _Bench(setup, bootstrap, source, name)
    trio, every = setup.trio(setup.apart.out_of_fold), list(setup.record.models.values())
    fold, unit = setup.record.fold.astype(np.float64), float(trio.strong.cost.mean())
    singles = {
        "always weak": always(trio.weak, kept=True),
        "always peer": always(trio.peer),
        "always strong": always(trio.strong),
        "best constant model": controls.best_constant(every, fold, np.inf),
        f"best constant model within {BUDGET:.0%} of strong's cost": controls.best_constant(every, fold, BUDGET * unit),
        "oracle": controls.oracle((trio.weak, trio.peer, trio.strong)),
    }
    for row, outcome in singles.items():
        yield from bench.basics(row, outcome)
    for row, outcome in found.items():
        yield from bench.basics(row, outcome)
        yield from bench.against(row, outcome)
    for line in prices:
        yield Line((source, *line.place[1:]), line.interval, line.questions)
    if is_drawn:
        yield from _frontiers(bench, runs, trio)


def _frontiers(bench: "_Bench", runs: Mapping[str, Run], trio: Trio) -> Iterator[Line]:
    """Yield quality and cost of every recipe at every price, and of the routers at every share of strong's cost."""
    for row, one in runs.items():
        for price, outcome in one.outcomes.items():
            yield from bench.point(f"{row}, price {price:g}", outcome)
    low, high = (float(one.cost.mean()) for one in (trio.weak, trio.strong))
    for label, score in bench.scores().items():
        for share in SHARES:
            budget = (1 - share) * low + share * high
            yield from bench.point(f"{label}, at {share:.0%}", controls.scored(score, trio.weak, trio.strong, budget))


class _Bench:
    """One setup's questions, models and draws; turns outcomes into lines."""

    def __init__(self, setup: Setup, bootstrap: Bootstrap, source: str, name: str) -> None:
        self._setup, self._bootstrap, self._place = setup, bootstrap, (source, name)
        self._trio = setup.trio(setup.apart.out_of_fold)
        self._unit = bootstrap.means(self._trio.strong.cost)

    def scores(self) -> dict[str, Doubles]:
        """Return the routers that see the question alone, higher to strong."""
        length = np.array([float(len(text)) for text in self._setup.record.texts])
        return {"length router": length, "question router": self._trio.predicted[:, 2] - self._trio.predicted[:, 0]}

    def basics(self, row: str, outcome: Outcome) -> Iterator[Line]:
        """Yield quality, cost and the difference to strong."""
        right = self._bootstrap.means(outcome.right)
        yield from self.point(row, outcome)
        strong = self._bootstrap.means(self._trio.strong.right)
        yield self._line(row, "minus_strong_points", 100 * (right - strong))

    def point(self, row: str, outcome: Outcome) -> Iterator[Line]:
        """Yield quality and cost."""
        yield self._line(row, "right_percent", 100 * self._bootstrap.means(outcome.right))
        yield self._line(row, "cost_percent_of_strong", 100 * self._bootstrap.means(outcome.cost) / self._unit)

    def against(self, row: str, outcome: Outcome) -> Iterator[Line]:
        """Yield what a cascade keeps and skips, and how it stands against every control of its own cost."""
        right, cost = self._bootstrap.means(outcome.right), self._bootstrap.means(outcome.cost)
        for figure, share in (("kept_percent", outcome.kept), ("skipped_percent", outcome.skipped)):
            yield self._line(row, figure, 100 * self._bootstrap.means(share.astype(np.float64)))
        if outcome.kept.any():
            kept = self._bootstrap.means(outcome.kept.astype(np.float64))
            good = self._bootstrap.means(outcome.kept * outcome.right)
            yield self._line(row, "right_when_kept_percent", 100 * good / np.maximum(kept, 1e-9))
        for figure, other in self._rivals(cost).items():
            yield self._line(row, f"minus_{figure}_points", 100 * (right - other))
        above = lift(outcome, self._trio, self._bootstrap)
        yield below_zero((*self._place, row), above, self._setup.size)
        yield Line.plain((*self._place, row, "folds_below_random"), self._folds_below(outcome), self._setup.size)

    def _rivals(self, cost: Doubles) -> dict[str, Doubles]:
        """Return how right each control is for this cost, over all draws."""
        trio, means = self._trio, self._bootstrap.means
        singles = [(means(one.right), means(one.cost)) for one in (trio.weak, trio.peer, trio.strong)]
        plain = agreement(trio)
        budget, fold = float(cost[0]), self._setup.record.fold.astype(np.float64)
        routers = {
            label.replace(" ", "_"): means(controls.scored(score, trio.weak, trio.strong, budget).right)
            for label, score in self.scores().items()
        }
        constant = controls.best_constant(list(self._setup.record.models.values()), fold, budget)
        return {
            "random": controls.coin(singles[0], singles[2], cost),
            "hull": controls.hull(singles, cost),
            "hull_with_cascade": controls.hull([*singles, (means(plain.right), means(plain.cost))], cost),
            "best_constant_of_its_cost": means(constant.right),
            **routers,
        }

    def _folds_below(self, outcome: Outcome) -> float:
        """Return in how many folds the outcome is below the coin of its cost."""
        count = 0
        for held in range(FOLDS):
            rows = np.flatnonzero(self._setup.record.fold == held)
            alone = Bootstrap(np.full((1, rows.size), 1.0 / rows.size))
            count += bool(lift(outcome.rows(rows), self._trio.rows(rows), alone)[0] < 0)
        return float(count)

    def _line(self, row: str, figure: str, means: Doubles) -> Line:
        return Line.drawn((*self._place, row, figure), means, self._setup.size)


def setups(source: Source, record: Record) -> Iterator[Setup]:
    """Yield the setups of a set, with what the question side predicts of their models."""
    trios = (*source.trios, *source.confirming)
    models = sorted({model for trio in trios for model in trio})
    right = np.stack([record.models[model].right for model in models], axis=1)
    apart = predict_apart(Design.of(record.texts), right, record.fold, nested=True)
    length = np.log1p([float(len(text)) for text in record.texts])
    draws = guards(record)
    for trio in trios:
        columns = [models.index(model) for model in trio]
        seen = [np.column_stack([one[:, columns], length]) for one in (apart.out_of_fold, *apart.nested)]
        yield Setup(record, *trio, Apart(seen[0], tuple(seen[1:])), draws)


def report(lines: Sequence[Line]) -> None:
    """Print the strategies of every setup: quality, cost, difference to strong and to the coin."""
    at = {line.place: line.interval for line in lines}
    shown = ("right_percent", "cost_percent_of_strong", "minus_strong_points", "minus_random_points")
    for source, name, row, figure in at:
        if figure == "right_percent" and " price " not in row and ", at " not in row:
            cells = [at.get((source, name, row, one)) for one in shown]
            print(f"{source} | {name} | {row} | " + " | ".join("" if one is None else str(one) for one in cells))


def main() -> None:
    """Replay every setup of both sets and write the result file."""
    folder = data_dir()
    lines: list[Line] = []
    for source in SOURCES:
        record = read_record(folder, source.name, sorted(read_sizes(folder, source.name)), source.spell)
        bootstrap = Bootstrap.of(record.group)
        for number, setup in enumerate(setups(source, record)):
            lines += tabulate(setup, bootstrap, source.name, is_drawn=number < len(source.trios))
    write(RESULT, lines, ("numpy", "scipy"))
    report(lines)


if __name__ == "__main__":
    main()
