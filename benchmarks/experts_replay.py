"""Does asking several models side by side pay? Replayed outcomes, K = 1, 2, 3, 5, the cost counted K times.

`make bench NAME=experts_replay`, about a minute. The gate picks by P(right) predicted from the question, out of fold;
the fuse is the majority of the answers. Best single: the pool's most accurate model on the other folds. The same K
for every question, ranked on the other folds, shows what the gate adds; the best constant model of the whole record
that costs no more shows what a better pool would. Where no answers were recorded only K = 1 can be replayed, and
cost is parameters a call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.cascade import controls
from benchmarks.cascade.experts import gate, mean_costs, mean_rights, mean_rights_by_subject, vote
from benchmarks.cascade.long_table import Line, write
from benchmarks.cascade.question_side import predict_apart
from benchmarks.cascade.record import Answers, Doubles, Record, read_record, read_sizes
from benchmarks.cascade.staged import Outcome
from headrace.router.cascade.extract import extract_answer
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.corpus import data_dir
from headrace.router.training.design import Design

RESULT: Final = Path(__file__).parent / "results" / "experts_replay.csv"
TOP_K: Final = (1, 2, 3, 5)
# What the dearest model's mean cost is worth in quality; 0: quality alone.
PRICES: Final = (0.0, 0.1)
SMALL_B: Final = 10.0
# The same weights under another host's or an alias's name are one expert.
DUPLICATES: Final = frozenset(
    {"Llama-3.1-405B-Inst@sambanova", "Meta-Llama-3.1-405B-Instruct@hyperbolic", "deepseek-coder", "deepseek-chat"}
)
WITH_ANSWERS: Final[Mapping[str, Callable[[str], str]]] = {"zeroeval_gsm": extract_answer, "zeroeval_crux": str}
RIGHT_ONLY: Final = ("llmrouter_ulab", "bfcl_2024_08")


@dataclass(frozen=True, slots=True)
class Pool:
    """Models of one record that a gate may pick from, and what it predicts of each."""

    source: str
    name: str
    record: Record
    models: tuple[str, ...]
    predicted: Doubles

    @property
    def answers(self) -> list[Answers]:
        """Return the models' answers, in the order of the predictions."""
        return [self.record.models[model] for model in self.models]


def pools(folder: Path, source: str) -> Iterator[Pool]:
    """Yield the pools of a source: its small models, and every model whose size is known."""
    sizes = {model: size for model, size in read_sizes(folder, source).items() if model not in DUPLICATES}
    record = read_record(folder, source, sorted(sizes), WITH_ANSWERS.get(source, str))
    models = sorted(sizes)
    right = np.stack([record.models[model].right for model in models], axis=1)
    predicted = predict_apart(Design.of(record.texts), right, record.fold).out_of_fold
    for name, most in (("models under 10B", SMALL_B), ("every model of known size", np.inf)):
        rows = [number for number, model in enumerate(models) if sizes[model] < most]
        yield Pool(source, name, record, tuple(models[row] for row in rows), predicted[:, rows])


def strategies(pool: Pool) -> dict[str, Outcome]:
    """Return every strategy's outcome: the gate at each K and price, and the K that are best on the other folds."""
    answers, fold = pool.answers, pool.record.fold
    cost = mean_costs(answers, fold)
    ranked = gate(mean_rights(answers, fold), cost, 0.0, len(answers))
    depths = [top_k for top_k in TOP_K if top_k <= len(answers)] if pool.source in WITH_ANSWERS else [1]
    found = {}
    for top_k in depths:
        for price in PRICES:
            words = "by predicted quality" if price == 0 else f"by predicted quality less {price:g} x cost"
            found[f"K = {top_k}, {words}"] = vote(answers, gate(pool.predicted, cost, price, top_k))
        found[f"K = {top_k}, the same for every question"] = vote(answers, ranked[:, :top_k])
    if len(set(pool.record.subject)) > 1:
        by_subject = mean_rights_by_subject(answers, fold, pool.record.subject)
        found["K = 1, the best of the question's subject"] = vote(answers, gate(by_subject, cost, 0.0, 1))
    return found


def tabulate(pool: Pool, bootstrap: Bootstrap) -> Iterator[Line]:
    """Yield the figures of every strategy and control of a pool."""
    answers, every, fold = pool.answers, list(pool.record.models.values()), pool.record.fold.astype(np.float64)
    single = controls.best_constant(answers, fold, np.inf)
    largest = max(every, key=lambda one: float(one.cost.mean()))
    means, size = bootstrap.means, fold.size
    unit, base = means(single.cost), means(single.right)
    rows = {
        "best single": single,
        "cheapest": controls.best_constant(answers, fold, 0.0),
        "dearest of the record": Outcome(largest.right, largest.cost, single.kept, single.skipped),
        "a model at random": _average(answers),
        "oracle": controls.oracle(answers),
        **strategies(pool),
    }
    for row, outcome in rows.items():
        place = (pool.source, pool.name, row)
        right = means(outcome.right)
        yield Line.drawn((*place, "right_percent"), 100 * right, size)
        yield Line.drawn((*place, "cost_times_best_single"), means(outcome.cost) / unit, size)
        yield Line.drawn((*place, "minus_best_single_points"), 100 * (right - base), size)
        rival = controls.best_constant(every, fold, float(outcome.cost.mean()))
        yield Line.drawn((*place, "minus_best_constant_of_its_cost_points"), 100 * (right - means(rival.right)), size)


def _average(answers: Sequence[Answers]) -> Outcome:
    right, cost = (np.mean([getattr(one, name) for one in answers], axis=0) for name in ("right", "cost"))
    nothing = np.zeros(right.size, dtype=np.bool_)
    return Outcome(right, cost, nothing, nothing)


def main() -> None:
    """Replay every pool of every source and write the result file."""
    folder = data_dir()
    lines: list[Line] = []
    for source in (*WITH_ANSWERS, *RIGHT_ONLY):
        bootstrap: Bootstrap | None = None
        for pool in pools(folder, source):
            bootstrap = bootstrap or Bootstrap.of(pool.record.group)
            lines += tabulate(pool, bootstrap)
            print(f"{source}, {pool.name}: {len(pool.models)} models", flush=True)
    write(RESULT, lines, ("numpy", "scipy"))
    for line in lines:
        print(" | ".join(line.cells()))


if __name__ == "__main__":
    main()
