"""Does retrieval let the small tier answer? Quality, share of the small tier, cost and latency, with it and without.

`make bench NAME=rag_answers`, against a running gateway with an embedding model; benchmarks/rag/gateway.yaml is the
config of the published figures (`headrace serve --config benchmarks/rag/gateway.yaml`). ClapNQ dev: long answers (token
F1, and whether a reference stands in the answer) and questions without an answer (share declined); PubMedQA: yes, no or
maybe. Every tier alone and the cascade; greedy; `careful` declines itself where documents give no support. Bootstrap
over questions, paired between the ways. The same command goes on where it stopped.
"""

import argparse
import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import numpy as np

from benchmarks.cascade.long_table import Line, write
from benchmarks.rag.live import Live, named, search
from benchmarks.rag.questions import CLAPNQ, PUBMEDQA, Question, documents, questions
from benchmarks.rag.run import Row, collect, grouped
from benchmarks.rag.scores import declines, exact, f1, plain, verdict
from headrace.contracts.errors import ConfigError
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.corpus import data_dir

HERE: Final = Path(__file__).parent
RESULT: Final = HERE / "results" / "rag_answers.csv"
RUN: Final = HERE.parent / ".run" / "rag_answers.jsonl"
SETS: Final = (CLAPNQ, PUBMEDQA)
MODELS: Final = ("headrace/only-small", "headrace/only-large", "headrace/auto", "headrace/careful")
GROUNDED, ALONE = "with documents", "without"
ONLY_GROUNDED: Final = frozenset({"headrace/careful"})
SMALL: Final = "small"
GOLD_CHARS: Final = 80  # that a hit must share with the passage that tells

FIGURES: Final = {
    "answerable": ("f1_percent", "exact_percent", "declined_percent", "gold_found_percent", "cited_percent"),
    "unanswerable": ("declined_percent", "cited_percent"),
    "verdict": ("right_percent", "f1_percent", "declined_percent", "gold_found_percent", "cited_percent"),
}
ALWAYS: Final = ("small_percent", "cost_microusd", "seconds", "prompt_tokens", "attempts")


async def ask(live: Live, one: Question, model: str, arm: str, store: str, k: int) -> Row:  # noqa: PLR0917  (one row's whole place)
    """Return one row: the answer and every figure of it."""
    answer = await live.ask(model, one.text, search(store, k=k) if arm == GROUNDED else None)
    gold = plain(one.gold)[:GOLD_CHARS]
    return {
        "set": one.set,
        "kind": one.kind,
        "model": model,
        "arm": arm,
        "question": one.id,
        "f1_percent": 100 * f1(answer.text, one.answers),
        "exact_percent": 100.0 * exact(answer.text, one.answers),
        "right_percent": 100.0 * (bool(one.verdict) and verdict(answer.text) == one.verdict),
        "declined_percent": 100.0 * declines(answer.text),
        "gold_found_percent": 100.0 * (bool(gold) and any(gold in plain(hit) for hit in answer.hits)),
        "cited_percent": 100.0 * (answer.citations > 0),
        "small_percent": 100.0 * (answer.tier == SMALL),
        "cost_microusd": answer.cost_microusd,
        "seconds": answer.seconds,
        "prompt_tokens": float(answer.prompt_tokens),
        "attempts": float(answer.attempts),
        "tier": answer.tier,
        "rule": answer.rule,
        "text": answer.text,
    }


def tabulate(rows: Sequence[Row]) -> Iterator[Line]:
    """Yield every figure of every model and way, and what documents change, over the same draws."""
    for (name, kind), some in grouped(rows, "set", "kind").items():
        figures = (*FIGURES[kind], *ALWAYS)
        means: dict[tuple[str, str, str], np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        for (model, arm), ones in grouped(some, "model", "arm").items():
            bootstrap = Bootstrap.of(np.arange(len(ones)))
            ordered = sorted(ones, key=lambda one: str(one["question"]))
            for figure in figures:
                drawn = bootstrap.means(np.array([float(one[figure]) for one in ordered]))
                means[model, arm, figure] = drawn
                yield Line.drawn((f"{name} {kind}", arm, model, figure), drawn, len(ones))
        for (model, arm, figure), drawn in means.items():
            other = means.get((model, ALONE, figure))
            if arm == GROUNDED and other is not None and other.shape == drawn.shape:
                count = sum(one["model"] == model and one["arm"] == arm for one in some)
                yield Line.drawn((f"{name} {kind}", "documents minus none", model, figure), drawn - other, count)


async def run(args: argparse.Namespace) -> list[Row]:
    """Upload both sets, ask everything that is not asked yet and return the rows."""
    missing = [name for name in SETS if not (args.data / name / "corpus.jsonl.gz").is_file()]
    if missing:
        raise ConfigError(
            f"--data {args.data}: no {missing[0]}/corpus.jsonl.gz; name the folder with {', '.join(SETS)}"
        )
    async with aiohttp.ClientSession() as session:
        live = Live(args.gateway, session, os.environ.get("HEADRACE_API_KEY"))
        asked = {name: questions(args.data / name, name, args.questions) for name in SETS}
        stores = {}
        for name in SETS:
            passages = documents(args.data / name, asked[name], args.passages)
            files: list[tuple[str, bytes, dict[str, str]]] = [(file, data, {}) for file, data in passages]
            stores[name] = await live.store(named(f"rag-{name}", files), files)
        jobs = [
            (
                f"{one.set}|{one.id}|{model}|{arm}|{args.k}",
                lambda one=one, model=model, arm=arm: ask(live, one, model, arm, stores[one.set], args.k),
            )
            for name in SETS
            for one in asked[name]
            for model in args.models
            for arm in ((GROUNDED,) if model in ONLY_GROUNDED else (GROUNDED, ALONE))
        ]
        return await collect(args.run, jobs, at_once=args.at_once)


def main() -> None:
    """Run what is missing, write the result file and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080", help="a running gateway with `embeddings`")
    parser.add_argument("--data", type=Path, help="folder of the two sets (default: retrieval/ of the shared data)")
    parser.add_argument("--questions", type=int, default=20, help="of each kind; 20 takes about 20 minutes on 2 cores")
    parser.add_argument(
        "--passages", type=int, default=400, help="of each set that are uploaded, those that tell first"
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="names to ask")
    parser.add_argument("--k", type=int, default=3, help="passages to search for")
    parser.add_argument("--at-once", type=int, default=4, help="requests in flight")
    parser.add_argument("--run", type=Path, default=RUN, help="rows of the run; the same command goes on from them")
    args = parser.parse_args()
    args.data = args.data or data_dir() / "retrieval"
    lines = list(tabulate(asyncio.run(run(args))))
    write(RESULT, lines, ("aiohttp", "numpy"))
    for line in lines:
        print(" | ".join(line.cells()))


if __name__ == "__main__":
    main()
