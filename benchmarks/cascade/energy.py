"""An estimate of the energy that recorded answers took: nominal power times their share of a full machine's time.

Nothing is metered: the machine shows no power counters. A token, read or written, takes as long as the average one of
the engine benchmark with 32 requests in flight, so short answers come out somewhat too dear and long ones too cheap.
All figures are proportional to WATTS; shares between strategies do not depend on it.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headrace.router.training.compose import Result

ENGINE: Final = Path(__file__).parents[1] / "results" / "engine.csv"
WATTS: Final = 20.0  # two virtual cores of a server processor with their memory
# What a request of the engine benchmark reads and writes; its rate counts the written tokens only.
READ: Final = 60
WRITTEN: Final = 32


def joules_per_token(path: Path = ENGINE) -> dict[str, float]:
    """Return the energy of a token, read or written, by model, from the int8 rates with 32 in flight."""
    with path.open(newline="") as source:
        rates = {
            row["row"]: float(row["p50"])
            for row in csv.DictReader(source)
            if (row["mode"], row["load"], row["figure"]) == ("int8", "c32", "tokens_per_s")
        }
    return {model: WATTS / (rate * (READ + WRITTEN) / WRITTEN) for model, rate in rates.items()}


def energy_j(result: Result, joules: Mapping[str, float]) -> float:
    """Return the energy of all attempts on a question, in joules; KeyError for a model that was never timed."""
    return sum((one.prompt_tokens + one.tokens) * joules[one.model] for one in result.spent)
