"""How long does a decision take? The question-side models on one core, by the length of the question.

`make bench NAME=router_latency`, under a minute. One thread on one core; every call is timed by itself after a warm-up,
in 20 rounds over the same questions. `rules`: features, difficulty and plan of the default policy. `quality`: predicted
quality of two backends. `both`: a policy whose rule weighs quality. Other load on the machine is part of what is
measured, so the quietest round is given beside all of them.
"""

import csv
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.overhead import host
from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.principal import ANONYMOUS
from headrace.gateway.settings.load import load as load_settings
from headrace.gateway.settings.load import packaged
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.features import extract
from headrace.router.policies.planner import make_plan
from headrace.router.quality.backends import BackendQuality
from headrace.router.quality.model import load as load_quality
from headrace.router.training.corpus import data_dir, read_lines

RESULT: Final = Path(__file__).parent / "results" / "router_latency.csv"
LENGTHS: Final = {"200 characters": (150, 250), "2,000 characters": (1900, 10_000)}
MOST_CHARS: Final = 2000
QUESTIONS: Final = 100
ROUNDS: Final = 20
MICRO: Final = 1e6


def main() -> None:
    """Time everything and write the result file."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    policy, difficulty = load_settings(packaged("default")).policy, load_difficulty()
    quality = BackendQuality(load_quality(), policy.cards)

    def decide(text: str, predict: BackendQuality | None) -> None:
        call = ChatCall(model="headrace/auto", endpoint="chat", messages=(Message("user", text),), wire={})
        features = extract(call, difficulty, principal=ANONYMOUS, headers={}, quality=predict)
        make_plan(policy, call, features, is_live=lambda _: True, is_calibrated=lambda *_: True)

    parts: Mapping[str, Callable[[str], object]] = {
        "rules": lambda text: decide(text, None),
        "quality": quality,
        "both": lambda text: decide(text, quality),
    }
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": host.versions("numpy")}
    with RESULT.open("w", encoding="utf-8", newline="") as sink:
        table = csv.writer(sink, lineterminator="\n")
        table.writerow([*stamp, "part", "length", "questions", "rounds", "p50_us", "p99_us", "quietest_p50_us"])
        for length, bounds in LENGTHS.items():
            texts = _texts(*bounds)
            for name, part in parts.items():
                rounds = np.array([_timed(part, texts) for _ in range(ROUNDS + 1)][1:]) * MICRO
                p50, p99 = np.percentile(rounds, [50, 99])
                quietest = float(np.median(rounds, axis=1).min())
                figures = [f"{one:.0f}" for one in (p50, p99, quietest)]
                table.writerow([*stamp.values(), name, length, len(texts), ROUNDS, *figures])
                sys.stdout.write(f"{name}, {length}: p50 {p50:.0f} us, p99 {p99:.0f} us, quietest {quietest:.0f} us\n")


def _texts(least: int, most: int) -> list[str]:
    rows = read_lines(data_dir() / "routing" / "routellm_mmlu" / "questions.jsonl.gz")
    return [row["question"][:MOST_CHARS] for row in rows if least <= len(row["question"]) <= most][:QUESTIONS]


def _timed(part: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    taken = []
    for text in texts:
        started = time.perf_counter()
        part(text)
        taken.append(time.perf_counter() - started)
    return taken


if __name__ == "__main__":
    main()
