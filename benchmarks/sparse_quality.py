"""What does a model lose when it attends to fewer blocks? Perplexity, needles, recall, layers, for each way to choose.

`make bench NAME=sparse_quality`, in the engine's environment; about an hour on two quiet cores. The models are those of
the default cascade, int8 weights restored to bfloat16; attention runs the kernels' torch path in float32, whole prompts
at once, blocks of 64. Kept: the share of visible (query block, key block) pairs. A way called `decode` leaves prompts
dense and chooses pages for each token of an answer alone. The texts are ClapNQ passages for the chat model and modules
of Python's library for the coder. A row is one model, length, method and budget; values are means over runs, and
differences are to dense of the same run; shares of needles have Wilson's 95% interval. Passes are kept in a file: the
same command goes on.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from benchmarks.cascade.long_table import Line, write
from benchmarks.rag.run import Row
from benchmarks.rag.run import kept as rows_kept
from benchmarks.sparse.attention import Subject, load, watching
from benchmarks.sparse.methods import Cache, Method, Pages, by_blocks, by_pages, by_share, everything, kept_share
from benchmarks.sparse.recall import recalled
from benchmarks.sparse.texts import code, hidden, prose, runs_of
from headrace.models.store.store import Store
from headrace.router.training.corpus import data_dir
from headrace.router.training.metrics import Interval

HERE: Final = Path(__file__).parent
RESULT: Final = HERE / "results" / "sparse_quality.csv"
RUN: Final = HERE.parent / ".run" / "sparse_quality.jsonl"
SMALL, CODER = "smollm2-135m-instruct-int8", "qwen2.5-coder-0.5b-instruct-int8"
ALL: Final = (
    "dense",
    "window + sink",
    "longformer",
    "bigbird",
    "top-k of means",
    "top-k of extremes",
    "top-p of means",
)
FEW: Final = ("dense", "window + sink", "top-k of means", "top-k of extremes")
BUDGETS: Final = (4, 8, 16, 32)
SHARES: Final = (0.5, 0.8, 0.95)
LAYER_BUDGET: Final = 8
LAYER_LENGTH: Final = 2048
DENSE_LAYERS: Final = 8
NEEDED_NATS: Final = 0.01
Z95: Final = 1.959964
SPACING: Final = 96


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is tried at one length. runs: of text, each with needles in it or not; pages: budgets of ways for decode."""

    length: int
    runs: int
    names: tuple[str, ...]
    budgets: tuple[int, ...]
    shares: tuple[float, ...] = ()
    pages: tuple[int, ...] = ()
    has_needles: bool = False

    def methods(self) -> list[Method]:
        """Return every method of this sweep with every budget, dense first."""
        return [one for one in methods(self.budgets, self.shares) if one.name in self.names]


SWEEPS: Final = {
    SMALL: (
        Sweep(2048, 2, ALL, BUDGETS, SHARES),
        Sweep(4096, 1, ALL, (8, 16, 32), (0.8, 0.95)),
        Sweep(8192, 1, FEW, (16, 64)),
        Sweep(2048, 3, ALL, (8, 16), (0.95,), pages=(4, 8, 16), has_needles=True),
        Sweep(4096, 2, FEW, (8, 16, 32), pages=(8, 16), has_needles=True),
        Sweep(8192, 1, ("dense", "top-k of extremes"), (16,), pages=(16,), has_needles=True),
    ),
    CODER: (
        Sweep(2048, 1, ALL, (8, 16), (0.8, 0.95)),
        Sweep(4096, 1, FEW, (16, 32)),
        Sweep(8192, 1, FEW, (16,)),
        Sweep(2048, 3, FEW, (8, 16), pages=(4, 8, 16), has_needles=True),
        Sweep(4096, 2, FEW, (8, 16, 32), pages=(8, 16), has_needles=True),
        Sweep(8192, 1, ("dense", "top-k of extremes"), (16,), pages=(16,), has_needles=True),
    ),
}


def methods(budgets: Sequence[int], shares: Sequence[float]) -> list[Method]:
    """Return every method with every budget, dense first."""
    return [everything(), *(one for budget in budgets for one in by_blocks(budget)), *map(by_share, shares)]


def loss(logits: torch.Tensor, tokens: Sequence[int]) -> float:
    """Return the mean negative log-likelihood of the tokens in nats, the first left out. logits: [T, V]."""
    return float(torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(tokens[1:])))


def found(logits: torch.Tensor, tokens: Sequence[int], places: range) -> bool:
    """Tell whether greedy decoding would have given the tokens at these places."""
    return all(int(logits[place - 1].argmax()) == tokens[place] for place in places)


def perplexity(subject: Subject, tokens: list[int], method: Method) -> Row:
    """Return the loss of one run."""
    value = loss(subject.scores(tokens, method), tokens)
    return {"loss_nats": value, "kept_percent": 100 * subject.kept}


def needles(subject: Subject, filler: list[int], method: Method | Pages, layers: frozenset[int] | None = None) -> Row:
    """Return how many needles are found in one context, and the loss of their answers, nats a token."""
    tokens, hid = hidden(filler, subject.tokenizer, spacing=SPACING)
    places = [place for one in hid for place in one.answer]
    before = [place - 1 for place in places]
    logits = subject.scores(tokens, method, layers, decoded=before)
    hits = [found(logits, tokens, one.answer) for one in hid]
    answers = torch.tensor([tokens[place] for place in places])
    return {
        "found": sum(hits),
        "needles": len(hits),
        "found_at_depth": {f"{one.depth:.2f}": hit for one, hit in zip(hid, hits, strict=True)},
        "answer_loss_nats": float(torch.nn.functional.cross_entropy(logits[before], answers)),
        "kept_percent": 100 * subject.kept,
    }


def wilson(found: int, of: int) -> Interval:
    """Return a share in percent with Wilson's 95% interval (Wilson 1927)."""
    share, grown = found / of, of + Z95**2
    middle = (found + Z95**2 / 2) / grown
    half = Z95 * (share * (1 - share) * of + Z95**2 / 4) ** 0.5 / grown
    return Interval(100 * share, 100 * (middle - half), 100 * (middle + half))


def recall(subject: Subject, tokens: list[int], several: Sequence[Method]) -> dict[str, Row]:
    """Return for each method the share of a dense pass's attention that it would keep, mean over layers."""
    seen: dict[str, list[tuple[float, float, float]]] = {_key(one): [] for one in several}

    def watch(_: int, q: torch.Tensor, cache: Cache) -> None:
        for one in several:
            lists = one.choose(q, cache)
            seen[_key(one)].append((*recalled(q, cache, lists), kept_share(lists, cache)))

    with watching(subject, watch):
        subject.scores(tokens, everything())
    columns = ("mass_percent", "best_lists_percent", "kept_percent")
    return {
        key: {
            name: 100 * sum(column) / len(column) for name, column in zip(columns, zip(*rows, strict=True), strict=True)
        }
        for key, rows in seen.items()
    }


def _key(method: Method | Pages) -> str:
    return f"{method.name}|{method.budget:g}"


class Kept:
    """The rows of a run by their key, appended to a file as they are made."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self.rows = rows_kept(path)

    def make(self, key: str, what: Callable[[], Row]) -> Row:
        """Return the row of a key, made only if it is not there."""
        if key not in self.rows:
            self.rows[key] = {"key": key, **what()}
            with self._path.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(self.rows[key]) + "\n")
            sys.stdout.write(f"{key}: {self.rows[key]}\n")
            sys.stdout.flush()
        return self.rows[key]


def run(subject: Subject, kept: Kept, data: Path) -> Iterator[Line]:
    """Measure one model, and yield its lines."""
    texts = (lambda: prose(data)) if subject.name == SMALL else code
    for sweep in SWEEPS[subject.name]:
        runs = runs_of(texts(), subject.tokenizer, length=sweep.length, count=sweep.runs)
        yield from (_needles if sweep.has_needles else _losses)(subject, kept, runs, sweep)
    (tokens,) = runs_of(texts(), subject.tokenizer, length=LAYER_LENGTH, count=1)
    yield from _recalls(subject, kept, tokens)
    yield from _layers(subject, kept, tokens)
    yield from _needles_by_layer(subject, kept, runs_of(texts(), subject.tokenizer, length=LAYER_LENGTH, count=3))


def _needles(subject: Subject, kept: Kept, runs: list[list[int]], sweep: Sweep) -> Iterator[Line]:
    for one in [*sweep.methods(), *(way for budget in sweep.pages for way in by_pages(budget))]:
        rows = [
            kept.make(
                f"{subject.name}|needles {sweep.length} run {place}|{_key(one)}",
                lambda one=one, filler=filler: needles(subject, filler, one),
            )
            for place, filler in enumerate(runs)
        ]
        place = (f"{subject.name} needles {sweep.length}", one.name, f"{one.budget:g}")
        yield from _found(place, rows)


def _found(place: tuple[str, str, str], rows: Sequence[Row]) -> Iterator[Line]:
    of = sum(row["needles"] for row in rows)
    yield Line((*place, "found_percent"), wilson(sum(row["found"] for row in rows), of), of)
    for figure in ("answer_loss_nats", "kept_percent"):
        yield Line.plain((*place, figure), sum(row[figure] for row in rows) / len(rows), of)


def _losses(subject: Subject, kept: Kept, runs: list[list[int]], sweep: Sweep) -> Iterator[Line]:
    length = sweep.length
    dense: list[float] = []
    for one in sweep.methods():
        rows = [
            kept.make(
                f"{subject.name}|loss {length} run {place}|{_key(one)}",
                lambda one=one, tokens=tokens: perplexity(subject, tokens, one),
            )
            for place, tokens in enumerate(runs)
        ]
        losses = [row["loss_nats"] for row in rows]
        dense = dense or losses
        figures = {
            "loss_nats": losses,
            "loss_minus_dense_nats": [mine - its for mine, its in zip(losses, dense, strict=True)],
            "kept_percent": [row["kept_percent"] for row in rows],
        }
        for figure, values in figures.items():
            place = (f"{subject.name} loss {length}", one.name, f"{one.budget:g}", figure)
            yield Line.plain(place, sum(values) / len(values), len(runs))


def _recalls(subject: Subject, kept: Kept, tokens: list[int]) -> Iterator[Line]:
    several = methods(BUDGETS, SHARES)[1:]
    row = kept.make(f"{subject.name}|recall {len(tokens)}", lambda: {"methods": recall(subject, tokens, several)})
    for one in several:
        for figure, value in row["methods"][_key(one)].items():
            yield Line.plain((f"{subject.name} recall {len(tokens)}", one.name, f"{one.budget:g}", figure), value, 1)


def _layers(subject: Subject, kept: Kept, tokens: list[int]) -> Iterator[Line]:
    """Yield what each layer alone loses when it alone is sparse."""
    method = next(one for one in by_blocks(LAYER_BUDGET) if one.name == "top-k of means")
    dense = kept.make(f"{subject.name}|layer none", lambda: perplexity(subject, tokens, everything()))
    for layer in range(subject.model.config.num_hidden_layers):
        row = kept.make(
            f"{subject.name}|layer {layer}",
            lambda layer=layer: {"loss_nats": loss(subject.scores(tokens, method, frozenset({layer})), tokens)},
        )
        place = (f"{subject.name} one sparse layer {len(tokens)}", method.name, str(layer), "loss_minus_dense_nats")
        yield Line.plain(place, row["loss_nats"] - dense["loss_nats"], 1)


def _needles_by_layer(subject: Subject, kept: Kept, runs: list[list[int]]) -> Iterator[Line]:
    """Yield what is found when one layer alone is sparse; and when all are but a few, of contexts that chose none.

    The layers that are needed are those whose answers, sparse alone, lose more than NEEDED_NATS in the first context.
    """
    method = next(one for one in by_blocks(LAYER_BUDGET) if one.name == "top-k of extremes")
    every = range(subject.model.config.num_hidden_layers)

    def made(run: int, arm: str, number: object, layers: frozenset[int]) -> Row:
        key = f"{subject.name}|needles {LAYER_LENGTH} run {run}|{arm} {number}"
        return kept.make(key, lambda: needles(subject, runs[run], method, layers))

    place = f"{subject.name} needles {LAYER_LENGTH}"
    alone = [made(0, "one sparse layer", layer, frozenset({layer})) for layer in every]
    for layer, row in enumerate(alone):
        yield from _found((f"{place}, one sparse layer", method.name, str(layer)), [row])
    dense = made(0, "no sparse layer", "", frozenset())["answer_loss_nats"]
    needed = [layer for layer, row in enumerate(alone) if row["answer_loss_nats"] - dense > NEEDED_NATS]
    others = [layer for layer in every if layer not in needed]
    spread = others[:: max(1, len(others) // max(1, len(needed)))][: len(needed)]
    arms = {
        "every layer sparse": (),
        f"first {len(needed)} dense": every[: len(needed)],
        f"first {DENSE_LAYERS} dense": every[:DENSE_LAYERS],
        f"{_numbers(needed)} dense": needed,
        f"{_numbers(spread)} dense": spread,
        f"only {_numbers(needed)} sparse": others,
    }
    for arm, kept_dense in arms.items():
        layers = frozenset(every) - frozenset(kept_dense)
        rows = [made(run, arm, "", layers) for run in range(1, len(runs))]
        thinned = len(layers) / len(every)
        rows = [row | {"kept_percent": row["kept_percent"] * thinned + 100 * (1 - thinned)} for row in rows]
        yield from _found((f"{place}, layers", method.name, arm), rows)


def _numbers(layers: Sequence[int]) -> str:
    return " ".join(map(str, layers))


def main() -> None:
    """Measure what is missing, write the result file and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", nargs="+", default=[SMALL, CODER], choices=[SMALL, CODER])
    parser.add_argument("--data", type=Path, help="shared data (default: HEADRACE_DATA_DIR)")
    parser.add_argument("--run", type=Path, default=RUN, help="passes of the run; the same command goes on from them")
    args = parser.parse_args()
    kept, data, store = Kept(args.run), args.data or data_dir(), Store()
    lines = [line for name in args.models for line in run(load(store.path(name), name), kept, data)]
    write(RESULT, lines, ("torch", "transformers"))
    for line in lines:
        print(" | ".join(line.cells()))


if __name__ == "__main__":
    main()
