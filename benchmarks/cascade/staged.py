"""Route first, then cascade: at each stage take the step that is worth most, quality minus price times cost.

Three models of different size answered every question: weak, peer, strong. The stages: before any draft (strong, or a
draft), after the weak draft (keep it, ask the peer, escalate), after the peer's (keep the weak draft, escalate). What a
step is worth is predicted from what is known at that stage, by linear fits made backwards, the last stage first; the
fits see training questions only. Every draft that was made is paid, kept or not. Pure.

Cost is in units of the strong model's mean cost over the training questions; `price` is what one such unit is worth in
quality (0.1: always-strong would have to be 10 points better to be worth its cost over a free model).
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from benchmarks.cascade.record import Answers, Bools, Doubles, Rows

Recipe = Literal["cascade", "route first", "stages"]
PENALTY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Trio:
    """Recorded answers of the three models, and what the question alone predicts: P(right), one column a model."""

    weak: Answers
    peer: Answers
    strong: Answers
    predicted: Doubles

    def rows(self, chosen: Rows) -> "Trio":
        """Return the chosen questions."""
        return Trio(self.weak.rows(chosen), self.peer.rows(chosen), self.strong.rows(chosen), self.predicted[chosen])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a strategy makes of every question. kept: the weak draft was the answer; skipped: no draft was made."""

    right: Doubles
    cost: Doubles
    kept: Bools
    skipped: Bools

    def rows(self, chosen: Rows | Bools) -> "Outcome":
        """Return the chosen questions' part."""
        return Outcome(self.right[chosen], self.cost[chosen], self.kept[chosen], self.skipped[chosen])


def always(answers: Answers, *, kept: bool = False) -> Outcome:
    """Return one model for every question; kept: it is the weak one."""
    size = answers.right.size
    return Outcome(answers.right, answers.cost, np.full(size, kept), np.full(size, not kept))


def agreement(trio: Trio, skip: Bools | None = None) -> Outcome:
    """Return the plain cascade: both draft, agreement keeps the weak answer, else strong answers; `skip`: no drafts."""
    skipped = np.zeros(trio.weak.right.size, dtype=np.bool_) if skip is None else skip
    kept = trio.weak.agrees(trio.peer) & ~skipped
    drafts = np.where(skipped, 0.0, trio.weak.cost + trio.peer.cost)
    return _outcome(trio, kept, skipped, drafts)


def decide(recipe: Recipe, train: Trio, test: Trio, price: float) -> Outcome:
    """Fit `recipe` on the training questions at a price and return what it makes of the test questions."""
    if recipe == "cascade":
        return agreement(test)
    unit = float(train.strong.cost.mean())
    if recipe == "route first":
        return agreement(test, _skip(train, test, price / unit))
    return _stages(train, test, price / unit)


def join(parts: list[tuple[Rows, Outcome]]) -> Outcome:
    """Put outcomes of disjoint rows back in order."""
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    return Outcome(
        right=np.concatenate([one.right for _, one in parts])[order],
        cost=np.concatenate([one.cost for _, one in parts])[order],
        kept=np.concatenate([one.kept for _, one in parts])[order],
        skipped=np.concatenate([one.skipped for _, one in parts])[order],
    )


def _skip(train: Trio, test: Trio, price: float) -> Bools:
    """Tell where the strong model at once is predicted to be worth more than the plain cascade."""
    whole = agreement(train)
    worth = (whole.right - train.strong.right) - price * (whole.cost - train.strong.cost)
    return _fitted(_before(train), worth, _before(test)) < 0


def _stages(train: Trio, test: Trio, price: float) -> Outcome:
    """Return the outcome of deciding at every stage; worth is told against keeping the weak answer for nothing."""
    escalate = (train.strong.right - train.weak.right) - price * train.strong.cost
    seen, asked = ((_before(one), _after_weak(one), _after_peer(one)) for one in (train, test))
    # After the peer.
    last_train, last_test = (_fitted(seen[2], escalate, table) > 0 for table in (seen[2], asked[2]))
    peer = np.where(last_train, escalate, 0.0) - price * train.peer.cost
    # After the weak draft: 0 keep, 1 escalate, 2 ask the peer.
    options = [(_fitted(seen[1], one, seen[1]), _fitted(seen[1], one, asked[1])) for one in (escalate, peer)]
    middle_train, middle_test = (
        np.argmax([np.zeros(len(table[0])), *table], axis=0) for table in zip(*options, strict=True)
    )
    draft = np.choose(middle_train, [np.zeros(escalate.size), escalate, peer]) - price * train.weak.cost
    # Before any draft.
    skipped = _fitted(seen[0], escalate - draft, asked[0]) > 0
    kept = ~skipped & ((middle_test == 0) | ((middle_test == 2) & ~last_test))  # noqa: PLR2004  (named above)
    drafts = np.where(skipped, 0.0, test.weak.cost + np.where(middle_test == 2, test.peer.cost, 0.0))  # noqa: PLR2004  (named above)
    return _outcome(test, kept, skipped, drafts)


def _outcome(trio: Trio, kept: Bools, skipped: Bools, drafts: Doubles) -> Outcome:
    return Outcome(
        right=np.where(kept, trio.weak.right, trio.strong.right),
        cost=drafts + np.where(kept, 0.0, trio.strong.cost),
        kept=kept,
        skipped=skipped,
    )


def _before(trio: Trio) -> Doubles:
    return trio.predicted


def _after_weak(trio: Trio) -> Doubles:
    return np.column_stack([trio.predicted, np.log1p(trio.weak.chars)])


def _after_peer(trio: Trio) -> Doubles:
    agrees = trio.weak.agrees(trio.peer).astype(np.float64)
    seen = np.column_stack([_after_weak(trio), np.log1p(trio.peer.chars)])
    return np.column_stack([agrees, seen, seen * agrees[:, None]])


def _fitted(seen: Doubles, worth: Doubles, asked: Doubles) -> Doubles:
    """Fit `worth` on `seen`, columns scaled alike, and return what it says of `asked`."""
    centre, spread = seen.mean(axis=0), seen.std(axis=0)
    scale = np.where(spread > 0, 1.0 / np.maximum(spread, 1e-9), 0.0)
    table = (seen - centre) * scale
    level = worth.mean()
    normal = table.T @ table + PENALTY * np.eye(table.shape[1])
    return np.asarray((asked - centre) * scale @ np.linalg.solve(normal, table.T @ (worth - level)) + level)
