"""Do several of the default models side by side pay? Their recorded answers, fused as the product fuses them.

`make bench NAME=experts_live`, seconds. The test split of the packaged record: three models, one greedy answer each.
Panels of two and three, by vote and by best confidence, through the product's own fuse; which answers agree is what the
record says (exact final answers, else the words that carry meaning), where a live panel has to find the final answer
itself. All members are paid, the slowest sets the time. A judge cannot be composed: its word is in no record. Controls:
the best single model within the panel's cost (named on the calibration split), the coin of equal cost between the
cheapest and the best single model, and the oracle of the three.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.cascade.long_table import Line, write
from benchmarks.cascade_live import slice_of
from headrace.contracts.models import ModelCard
from headrace.gateway.settings.load import load as load_settings
from headrace.gateway.settings.load import packaged
from headrace.router.cascade.acceptance import load as load_judge
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.compose import Composer, oracle, single
from headrace.router.training.constrain import Arm
from headrace.router.training.table import Entry, read_table
from headrace.router.training.tune import best_constant, ladder, usable

RESULT: Final = Path(__file__).parent / "results" / "experts_live.csv"
FUSES: Final = ("vote", "best_confidence")
SHORT: Final = {
    "smollm2-135m-instruct-int8": "135M",
    "qwen2.5-coder-0.5b-instruct-int8": "0.5B",
    "qwen2.5-coder-1.5b-instruct-int8": "1.5B",
}
PACKAGED_RECORD: Final = "the packaged record"

Doubles = npt.NDArray[np.float64]


def panels(cards: Sequence[ModelCard]) -> Iterator[tuple[ModelCard, ...]]:
    """Yield every panel of two and three, the strongest model first, as a gate by quality seats them."""
    strongest = list(reversed(cards))
    for size in (2, 3):
        yield from combinations(strongest, size)


def strategies(composer: Composer, cards: Sequence[ModelCard], entries: Sequence[Entry]) -> dict[str, Arm]:
    """Return every single model, panel and the oracle."""
    found = {f"{SHORT[card.id]} alone": Arm.of([single(one, card) for one in entries]) for card in cards}
    for members in panels(cards):
        names = " + ".join(SHORT[card.id] for card in members)
        for fused in FUSES:
            found[f"{names}, {fused}"] = Arm.of([composer.panel(one, members, fused) for one in entries])
    found["oracle"] = Arm.of([oracle(one, cards) for one in entries])
    return found


def tabulate(name: str, found: Mapping[str, Arm], rivals: Mapping[str, str], ends: tuple[str, str]) -> Iterator[Line]:
    """Yield a slice's figures. rivals: the best constant within each panel's cost; ends: cheapest and best single."""
    size = found[ends[0]].right.size
    bootstrap = Bootstrap.of(np.arange(size))
    right = {row: 100 * bootstrap.means(arm.right) for row, arm in found.items()}
    cost = {row: bootstrap.means(arm.cost) for row, arm in found.items()}
    for row, arm in found.items():
        share = np.clip((cost[row] - cost[ends[0]]) / (cost[ends[1]] - cost[ends[0]]), 0.0, 1.0)
        coin = (1 - share) * right[ends[0]] + share * right[ends[1]]
        figures: dict[str, Doubles] = {
            "right_percent": right[row],
            "cost_microusd": cost[row],
            "cost_times_best_single": cost[row] / cost[ends[1]],
            "latency_s": bootstrap.means(arm.seconds),
            "minus_best_single_points": right[row] - right[ends[1]],
            "minus_random_points": right[row] - coin,
        }
        if row in rivals:
            figures["minus_best_constant_of_its_cost_points"] = right[row] - right[rivals[row]]
        for figure, means in figures.items():
            yield Line.drawn(("default tiers", name, row, figure), means, size)


def main() -> None:
    """Compose every panel and write the result file."""
    policy = load_settings(packaged("three-tier")).policy
    known, asked = (usable(read_table(split=split), policy, table=PACKAGED_RECORD) for split in ("calibration", "test"))
    cards = ladder(policy)
    composer = Composer(policy, "headrace/auto", load_difficulty(), load_judge())
    everywhere = strategies(composer, cards, asked)
    best = f"{SHORT[best_constant(cards, known, float('inf')).id]} alone"
    rivals = {
        row: f"{SHORT[best_constant(cards, known, float(arm.cost.mean())).id]} alone" for row, arm in everywhere.items()
    }
    slices = {"all": list(range(len(asked)))}
    for row, entry in enumerate(asked):
        slices.setdefault(slice_of(entry.kind), []).append(row)
    lines: list[Line] = []
    for name, rows in slices.items():
        chosen = np.array(rows)
        found = {row: arm.rows(chosen) for row, arm in everywhere.items()}
        lines += tabulate(name, found, rivals, (f"{SHORT[cards[0].id]} alone", best))
    write(RESULT, lines, ("numpy",))
    for line in lines:
        print(" | ".join(line.cells()))


if __name__ == "__main__":
    main()
