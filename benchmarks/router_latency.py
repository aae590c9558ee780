"""How long does a decision take? The question-side models on one core, by the length of the question.

`make bench NAME=router_latency`, under a minute. One thread on one core; every call is timed by itself after a warm-up,
in 20 rounds over the same questions. `rules`: features, difficulty and plan of the default policy. `quality`: predicted
quality of two backends. `both`: a policy whose rule weighs quality. Other load on the machine is part of what is
measured, so beside the time that passes stand the time on the processor and, of both, the quietest round.
"""

import csv
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

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
FIGURES: Final = ("p50_us", "p99_us", "quietest_p50_us", "cpu_p50_us", "cpu_p99_us", "cpu_quietest_p50_us")


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
        table.writerow([*stamp, "part", "length", "questions", "rounds", *FIGURES])
        for length, bounds in LENGTHS.items():
            texts = _texts(*bounds)
            for name, part in parts.items():
                rounds = np.array([_timed(part, texts) for _ in range(ROUNDS + 1)][1:]) * MICRO
                figures = [f"{one:.0f}" for clock in (0, 1) for one in _figures(rounds[..., clock])]
                table.writerow([*stamp.values(), name, length, len(texts), ROUNDS, *figures])
                said = ", ".join(map(" ".join, zip(FIGURES, figures, strict=True)))
                sys.stdout.write(f"{name}, {length}: {said}\n")


def _texts(least: int, most: int) -> list[str]:
    rows = read_lines(data_dir() / "routing" / "routellm_mmlu" / "questions.jsonl.gz")
    return [row["question"][:MOST_CHARS] for row in rows if least <= len(row["question"]) <= most][:QUESTIONS]


def _timed(part: Callable[[str], object], texts: Sequence[str]) -> list[tuple[float, float]]:
    """Return the seconds that passed and those on the processor, call by call."""
    taken = []
    for text in texts:
        started, started_cpu = time.perf_counter(), time.thread_time()
        part(text)
        taken.append((time.perf_counter() - started, time.thread_time() - started_cpu))
    return taken


def _figures(rounds: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the median and 99th percentile of all calls, and the median of the quietest round."""
    p50, p99 = np.percentile(rounds, [50, 99])
    return float(p50), float(p99), float(np.median(rounds, axis=1).min())


if __name__ == "__main__":
    main()
