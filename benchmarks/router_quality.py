"""Which question-side router is worth its milliseconds? Every candidate on the same folds, with every control.

`make bench NAME=router_quality`, some fifteen minutes of two cores. The pair is RouteLLM's (Mixtral-8x7B-Instruct to
gpt-4-1106-preview) on all open questions of GSM8K and MMLU; a score of a question never comes from a fit that saw its
group. `subjects`: whole subjects held out; `source`: every question of the set held out; `pair`: a pair of models
whose outcomes no fit saw, predicted from their sizes. Embeddings are those of all-MiniLM-L6-v2 (fetched by
`headrace models fetch all-minilm-l6-v2`), of the first 900 characters.
"""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]
from sklearn.neural_network import MLPRegressor  # type: ignore[import-untyped]

from benchmarks.overhead import host
from benchmarks.questions import embed
from headrace.router.quality.model import Candidate
from headrace.router.training.corpus import data_dir, read_lines, read_source
from headrace.router.training.evaluate import LENGTH, SEED, Bench
from headrace.router.training.fit_quality import Floats, fit_quality, shapes_of
from headrace.router.training.metrics import Doubles, Measured, Outcomes, group_numbers, measure
from headrace.router.training.panels import Panel, read_panels
from headrace.router.training.table import read_table
from headrace.router.training.yardstick import GSM8K, MMLU

RESULT: Final = Path(__file__).parent / "results" / "router_quality.csv"
WEAK: Final = "mistralai/Mixtral-8x7B-Instruct-v0.1"
STRONG: Final = "gpt-4-1106-preview"
NEW_PAIR: Final = ("zeroeval_gsm", "gemma-2-9b-it", "Meta-Llama-3.1-70B-Instruct")
NEIGHBOURS: Final = 60
NEARNESS: Final = 8.0
RESAMPLES: Final = 2000
SHUFFLES: Final = range(1, 6)

Rows = npt.NDArray[np.int64]
Predict = Callable[[Rows, Rows], Doubles]


@dataclass(frozen=True, slots=True)
class Pool:
    """The panels, their features, and the place of the set that is measured."""

    panels: Sequence[Panel]
    shapes: Sequence[Floats]
    at: int

    @property
    def panel(self) -> Panel:
        """Return the set that is measured."""
        return self.panels[self.at]


def scores_of(pool: Pool, held: Sequence[int], weak: Candidate, strong: Candidate, *, whole: bool = False) -> Doubles:
    """Return the gain that the shipped recipe predicts for the questions `held`, fitted without their groups.

    whole: leave the whole set out, not only these questions.
    """
    hidden = {pool.panel.groups[row] for row in held}
    panels, shapes = [], []
    for place, (panel, shape) in enumerate(zip(pool.panels, pool.shapes, strict=True)):
        if whole and place == pool.at:
            continue
        kept = np.array([row for row, group in enumerate(panel.groups) if group not in hidden], dtype=np.int64)
        if kept.size:
            panels.append(panel.rows(kept))
            shapes.append(shape[kept])
    predictor = fit_quality(panels, shapes).model().bind([weak, strong])
    found = np.stack([predictor.predict(pool.panel.texts[row]).quality for row in held])
    return np.asarray(found[:, 1] - found[:, 0], dtype=np.float64)


def across(fold: Rows, predict: Predict) -> Doubles:
    """Return out-of-fold scores."""
    scores = np.zeros(fold.size)
    for held in np.unique(fold):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        scores[test] = predict(train, test)
    return scores


def on_embeddings(vectors: Floats, shape: Floats, gain: Doubles) -> Mapping[str, Predict]:
    """Return the candidates that learn from sentence embeddings, or from the shape with another learner."""
    both = np.hstack([vectors, shape])

    def knn(train: Rows, test: Rows) -> Doubles:
        near = vectors[test] @ vectors[train].T
        best = np.argpartition(-near, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        weight = np.exp(NEARNESS * np.take_along_axis(near, best, axis=1))
        return np.asarray((weight * gain[train][best]).sum(axis=1) / weight.sum(axis=1))

    def learner(make: Callable[[], object], table: Floats) -> Predict:
        return lambda train, test: make().fit(table[train], gain[train]).predict(table[test])  # type: ignore[attr-defined]

    def boosting() -> object:
        return HistGradientBoostingRegressor(
            max_iter=120, learning_rate=0.04, max_leaf_nodes=8, min_samples_leaf=80, l2_regularization=50.0
        )

    def perceptron() -> object:
        return MLPRegressor(hidden_layer_sizes=(32,), alpha=1.0, max_iter=25, batch_size=128, random_state=SEED)

    return {
        "kNN on MiniLM": knn,
        "ridge on MiniLM": learner(lambda: Ridge(alpha=5.0), vectors),
        "MLP on MiniLM": learner(perceptron, vectors),
        "gradient boosting on MiniLM and shape": learner(boosting, both),
        "gradient boosting on shape": learner(boosting, shape),
        "ridge on shape": learner(lambda: Ridge(alpha=100.0), _standard(shape)),
    }


def own_set(pool: Pool, fold: Rows, vectors: Mapping[str, Floats], bench: Bench) -> dict[str, Doubles]:
    """Return the scores of every candidate on one set, folds as given."""
    panel, rng = pool.panel, np.random.default_rng(SEED)
    weak, strong = panel.pair(WEAK, STRONG)
    learners = {
        **on_embeddings(vectors["MiniLM"], pool.shapes[pool.at], panel.gain),
        "ridge on static embeddings": lambda train, test: (
            Ridge(alpha=5.0).fit(vectors["static"][train], panel.gain[train]).predict(vectors["static"][test])
        ),
    }
    pair = Candidate(WEAK), Candidate(STRONG)
    return {
        LENGTH: bench.length,
        "random (one draw)": rng.random(len(panel.texts)),
        "subject mean": across(fold, lambda train, test: bench.subject_mean(train)(test)),
        "TF-IDF ridge": across(fold, lambda train, test: bench.tfidf_ridge(train)(test)),
        "difficulty recipe, this pair": across(fold, lambda train, test: bench.recipe(train)(test)),
        **{name: across(fold, learn) for name, learn in learners.items()},
        "quality model": across(fold, lambda _, test: scores_of(pool, list(test), *pair)),
        "quality model, other sources only": scores_of(pool, range(len(panel.texts)), *pair, whole=True),
        **{f"quality model, shuffled labels, deal {deal}": _on_shuffled(pool, fold, rng) for deal in SHUFFLES},
        "oracle": strong - weak,
    }


def new_pair(pool: Pool) -> dict[str, Doubles]:
    """Return scores for a pair of models that no fit saw: the set's fits know every other model."""
    weak, strong = (Candidate(name, pool.panel.parameters[pool.panel.models.index(name)]) for name in NEW_PAIR[1:])
    strangers = Pool([_without(panel, NEW_PAIR[1:]) for panel in pool.panels], pool.shapes, pool.at)
    predict: Predict = lambda _, test: scores_of(strangers, list(test), weak, strong)  # noqa: E731
    known: Predict = lambda _, test: scores_of(pool, list(test), weak, strong)  # noqa: E731
    right = pool.panel.pair(*NEW_PAIR[1:])
    return {
        LENGTH: np.array([float(len(text)) for text in pool.panel.texts]),
        "quality model, pair known": across(pool.panel.fold, known),
        "quality model, pair unseen": across(pool.panel.fold, predict),
        "oracle": right[1] - right[0],
    }


def main() -> None:
    """Measure everything and write the result file."""
    folder = data_dir()
    panels = read_panels(folder, read_table(split="calibration"))
    shapes = [shapes_of(panel.texts) for panel in panels]
    at = {panel.name: place for place, panel in enumerate(panels)}
    rows: list[list[str]] = []
    for name in (GSM8K, MMLU):
        pool = Pool(panels, shapes, at[name])
        vectors, bench = embed(pool.panel.texts), Bench(read_source(folder, name), ())
        folds = {"in domain": pool.panel.fold}
        if name == MMLU:
            questions = read_lines(folder / "routing" / MMLU / "questions.jsonl.gz")
            by_id = {row["question_id"]: row["subject_fold"] for row in questions}
            folds["subjects held out"] = np.array([by_id[one] for one in pool.panel.question_ids])
        for kind, fold in folds.items():
            scores = own_set(pool, fold, vectors, bench)
            rows += _rows(kind, scores, pool.panel, (WEAK, STRONG))
    pool = Pool(panels, shapes, at[NEW_PAIR[0]])
    rows += _rows("new pair", new_pair(pool), pool.panel, NEW_PAIR[1:])
    _write(rows)


def _rows(kind: str, scores: Mapping[str, Doubles], panel: Panel, pair: tuple[str, str]) -> list[list[str]]:
    right = panel.pair(*pair)
    outcomes = Outcomes(*right, group_numbers(panel.groups))
    found = measure(scores, outcomes, baseline=LENGTH, seed=SEED, resamples=RESAMPLES)
    ends = [f"{float(one.mean()):.4f}" for one in right]
    rows = [[panel.name, kind, router, str(len(panel.texts)), *ends, *_figures(one)] for router, one in found.items()]
    for row in rows:
        sys.stdout.write(f"{', '.join(row[:4])}: APGR {row[6]} [{row[7]}, {row[8]}]\n")
    sys.stdout.flush()
    return rows


def _figures(one: Measured) -> Iterator[str]:
    for interval in (one.apgr, one.versus_length, one.cpt50, one.cpt80):
        yield from (f"{value:.4f}" for value in (interval.value, interval.low, interval.high))
    yield f"{one.half_accuracy:.4f}"


def _write(rows: Sequence[Sequence[str]]) -> None:
    about = {
        "date": host.now(),
        "commit": host.commit(),
        "device": host.device(),
        "versions": host.versions("numpy", "scikit-learn"),
    }
    names = ("apgr", "minus_length", "cpt50", "cpt80")
    figures = [f"{name}{end}" for name in names for end in ("", "_low95", "_high95")]
    with RESULT.open("w", encoding="utf-8", newline="") as sink:
        table = csv.writer(sink, lineterminator="\n")
        head = ("set", "kind", "router", "questions", "weak", "strong", *figures, "accuracy_at_half")
        table.writerow([*about, *head])
        table.writerows([*about.values(), *row] for row in rows)


def _shuffled(pool: Pool, rng: np.random.Generator) -> Pool:
    """Return the pool with the outcomes of the measured set dealt to other questions."""
    panel = pool.panel
    order = rng.permutation(len(panel.texts)).astype(np.int64)
    mixed = panel.rows(order)
    dealt = Panel(
        panel.name, panel.question_ids, panel.texts, panel.subjects, panel.groups, panel.fold, panel.models,
        panel.parameters, mixed.right, mixed.gain,
    )  # fmt: skip
    return Pool([dealt], [pool.shapes[pool.at]], 0)


def _on_shuffled(pool: Pool, fold: Rows, rng: np.random.Generator) -> Doubles:
    """Return scores of fits on shuffled outcomes: chance on average over deals, for one deal is one random function."""
    dealt, pair = _shuffled(pool, rng), (Candidate(WEAK), Candidate(STRONG))
    return across(fold, lambda _, test: scores_of(dealt, list(test), *pair))


def _without(panel: Panel, models: Sequence[str]) -> Panel:
    kept = [place for place, name in enumerate(panel.models) if name not in models]
    return Panel(
        panel.name, panel.question_ids, panel.texts, panel.subjects, panel.groups, panel.fold,
        tuple(panel.models[place] for place in kept), tuple(panel.parameters[place] for place in kept),
        panel.right[:, kept], panel.gain,
    )  # fmt: skip


def _standard(table: Floats) -> Floats:
    spread = table.std(axis=0)
    return np.asarray(np.clip((table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0), -3, 3))


if __name__ == "__main__":
    main()
