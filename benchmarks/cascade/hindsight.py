"""The best that a rule on one score could have done, chosen on the very questions it is judged on."""

from collections.abc import Callable, Sequence

from headrace.contracts.models import ModelCard
from headrace.router.training.compose import Result, single
from headrace.router.training.table import Entry


def thresholded(
    entries: Sequence[Entry], score: Callable[[Entry], float], small: ModelCard, large: ModelCard, budget: float
) -> list[Result]:
    """Return the most accurate split by `score` (high goes to the large model) whose mean cost is within `budget`.

    A bound on any rule on that score, kinder than a rule deserves.
    """
    weak, strong = [single(one, small) for one in entries], [single(one, large) for one in entries]
    order = sorted(range(len(entries)), key=lambda row: -score(entries[row]))
    best, best_right, chosen = list(weak), sum(one.right for one in weak), list(weak)
    for row in order:
        chosen[row] = strong[row]
        if sum(one.cost_microusd for one in chosen) > budget * len(entries):
            break
        right = sum(one.right for one in chosen)
        if right > best_right:
            best, best_right = list(chosen), right
    return best
