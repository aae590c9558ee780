"""Evaluates the difficulty recipe against every control on all open questions of the RouteLLM pair, five folds.

Scores of a question always come from a fit that has not seen its group. The two recipes: "pair" learns from the same
source only; "shipped" learns from everything the default artefact learns from, without the held-out folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

from headrace.router.training.corpus import FOLDS, Example
from headrace.router.training.design import Design, Doubles, Rows
from headrace.router.training.fit import fit_gain
from headrace.router.training.metrics import Interval, Measured, Outcomes, apgr, group_numbers, measure

LENGTH: Final = "prompt length"
SHUFFLES: Final = 5
SEED: Final = 20261122

Fit = Callable[[Rows], "Scorer"]
Scorer = Callable[[Rows], Doubles]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One set: its end points, every router on it, and what shuffled labels give."""

    name: str
    questions: int
    weak: float
    strong: float
    routers: dict[str, Measured]
    shuffled: Interval
    held_out_subjects: dict[str, Measured] | None = None


def evaluate(
    name: str,
    examples: Sequence[Example],
    others: Sequence[Example],
    *,
    subject_fold: Sequence[int] | None = None,
    resamples: int,
    shuffles: int = SHUFFLES,
) -> Evaluation:
    """Evaluate on `examples`; `others` are the further training examples of the shipped recipe."""
    bench = Bench(examples, others)
    weak, strong = bench.outcomes.weak, bench.outcomes.strong
    rng = np.random.default_rng(SEED)
    scores = {
        LENGTH: bench.length,
        "random (one draw)": rng.random(len(examples)),
        "subject mean": bench.across(bench.subject_mean),
        "TF-IDF ridge": bench.across(bench.tfidf_ridge),
        "difficulty recipe, this pair": bench.across(bench.recipe),
        "difficulty recipe, as shipped": bench.across(bench.shipped),
        "oracle": strong - weak,
    }
    if len({one.subject for one in examples}) == 1:
        del scores["subject mean"]
    shuffled = [apgr(bench.across(bench.shuffled(rng)), bench.outcomes) for _ in range(shuffles)]
    held = None
    if subject_fold is not None:
        apart = Bench([replace(one, fold=fold) for one, fold in zip(examples, subject_fold, strict=True)], ())
        whole = {
            LENGTH: bench.length,
            "TF-IDF ridge": apart.across(apart.tfidf_ridge),
            "difficulty recipe, this pair": apart.across(apart.recipe),
        }
        held = measure(whole, bench.outcomes, baseline=LENGTH, seed=SEED, resamples=resamples)
    return Evaluation(
        name=name,
        questions=len(examples),
        weak=float(weak.mean()),
        strong=float(strong.mean()),
        routers=measure(scores, bench.outcomes, baseline=LENGTH, seed=SEED, resamples=resamples),
        shuffled=Interval(float(np.mean(shuffled)), float(np.min(shuffled)), float(np.max(shuffled))),
        held_out_subjects=held,
    )


class Bench:
    """The examples with their features, and one method a router: each takes training rows and gives a scorer."""

    def __init__(self, examples: Sequence[Example], others: Sequence[Example]) -> None:
        self._examples = examples
        self._design = Design.of([one.text for one in examples])
        self._fold = np.array([one.fold for one in examples])
        self._advantage = np.array([one.advantage for one in examples])
        self._others = [one for one in others if one.gain is not None]
        self.length = np.array([float(len(one.text)) for one in examples])
        self.outcomes = Outcomes(
            weak=np.array([one.small or 0.0 for one in examples]),
            strong=np.array([one.large or 0.0 for one in examples]),
            group=group_numbers([one.group for one in examples]),
        )

    def across(self, fit: Fit) -> Doubles:
        """Return out-of-fold scores."""
        scores = np.zeros(len(self._examples))
        for held in range(FOLDS):
            test = np.flatnonzero(self._fold == held)
            scores[test] = fit(np.flatnonzero(self._fold != held))(test)
        return scores

    def recipe(self, train: Rows) -> Scorer:
        """Return what scores by the difficulty recipe, fitted on these rows."""
        linear = fit_gain(self._design.rows(train), self._advantage[train], np.ones(train.size))
        return lambda rows: linear.gain(self._design.rows(rows))

    def shipped(self, train: Rows) -> Scorer:
        """Return what scores by the difficulty recipe, fitted on these rows and the further examples."""
        held = set(self._fold) - set(self._fold[train])
        others = [one for one in self._others if one.fold not in held]
        own = [self._examples[row] for row in train]
        texts = [one.text for one in (*own, *others)]
        gain = np.concatenate((self._advantage[train], [one.gain or 0.0 for one in others]))
        weight = np.array([one.weight for one in (*own, *others)])
        linear = fit_gain(Design.of(texts), gain, weight)
        return lambda rows: linear.gain(self._design.rows(rows))

    def shuffled(self, rng: np.random.Generator) -> Fit:
        """Return a fit of the difficulty recipe on labels dealt to other questions."""

        def fit(train: Rows) -> Scorer:
            mixed = rng.permutation(self._advantage[train])
            linear = fit_gain(self._design.rows(train), mixed, np.ones(train.size))
            return lambda rows: linear.gain(self._design.rows(rows))

        return fit

    def subject_mean(self, train: Rows) -> Scorer:
        """Return what scores by the mean gain of the subject."""
        sums: dict[str, list[float]] = {}
        for row in train:
            sums.setdefault(self._examples[row].subject, []).append(self._advantage[row])
        overall = float(self._advantage[train].mean())
        means = {subject: float(np.mean(values)) for subject, values in sums.items()}
        return lambda rows: np.array([means.get(self._examples[row].subject, overall) for row in rows])

    def tfidf_ridge(self, train: Rows) -> Scorer:
        """Return what scores by a ridge on words and word pairs."""
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        table = vectorizer.fit_transform([self._examples[row].text for row in train])
        model = Ridge(alpha=5.0, solver="sparse_cg", tol=1e-3).fit(table, self._advantage[train])
        return lambda rows: model.predict(vectorizer.transform([self._examples[row].text for row in rows]))
