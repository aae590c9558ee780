"""What the models read: long prose and long code as tokens, and contexts with needles in them."""

import gzip
import json
import random
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SEED: Final = 20261122
CITIES: Final = ("Ondava", "Marsk", "Tamber", "Corvin", "Velden", "Ishkal", "Porrin", "Dunmere")
CODE: Final = ("argparse.py", "inspect.py", "typing.py", "tarfile.py", "subprocess.py", "doctest.py", "difflib.py")

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Needle:
    """One fact hidden in a context. depth: 0 at its beginning, 1 at its end. answer: where its tokens stand."""

    depth: float
    answer: range


def prose(data: Path) -> Iterator[str]:
    """Yield the passages of ClapNQ, the same order each time."""
    with gzip.open(data / "retrieval" / "clapnq_dev" / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)["text"]) for line in lines]
    random.Random(SEED).shuffle(texts)  # noqa: S311  (an order, not a secret)
    yield from texts


def code() -> Iterator[str]:
    """Yield long modules of Python's own library."""
    folder = Path(sysconfig.get_path("stdlib"))
    for name in CODE:
        yield (folder / name).read_text(encoding="utf-8")


def runs_of(texts: Iterator[str], tokenizer: Any, *, length: int, count: int) -> list[Tokens]:  # noqa: ANN401  (a tokenizer of transformers)
    """Return `count` runs of exactly `length` tokens, texts joined until they are long enough."""
    runs: list[Tokens] = []
    held: Tokens = []
    for text in texts:
        held += tokenizer.encode(text + "\n\n", add_special_tokens=False)
        while len(held) >= length and len(runs) < count:
            runs.append(held[:length])
            held = held[length:]
        if len(runs) == count:
            return runs
    raise ValueError(f"the texts hold {len(runs)} runs of {length} tokens; wanted {count}")


def hidden(filler: Sequence[int], tokenizer: Any, *, spacing: int) -> tuple[Tokens, list[Needle]]:  # noqa: ANN401  (as above)
    """Return a context with one fact a city at depths spread over it, then a question and its answer for each.

    The answers stand in the text, so that one pass tells which of them the model would have given; before each question
    stand `spacing` tokens of filler, so that no block of queries holds two.
    """
    random_ = random.Random(SEED)  # noqa: S311  (numbers to find again, no secret)
    numbers = {city: str(random_.randrange(10_000, 100_000)) for city in CITIES}
    body = list(filler[: len(filler) - len(CITIES) * spacing])
    rest = filler[len(body) :]
    depths = [(place + 0.5) / len(CITIES) for place in range(len(CITIES))]
    made: Tokens = []
    cuts = [round(depth * len(body)) for depth in depths]
    for city, start, end in zip(CITIES, [0, *cuts], cuts, strict=False):
        made += body[start:end] + _encode(tokenizer, f"\nThe secret number of {city} is {numbers[city]}.\n")
    made += body[cuts[-1] :]
    needles = []
    for place, (city, depth) in enumerate(zip(CITIES, depths, strict=True)):
        made += rest[place * spacing : (place + 1) * spacing]
        made += _encode(tokenizer, f"\nThe secret number of {city} is")
        answer = _encode(tokenizer, f" {numbers[city]}")
        needles.append(Needle(depth, range(len(made), len(made) + len(answer))))
        made += answer
    return made, needles


def _encode(tokenizer: Any, text: str) -> Tokens:  # noqa: ANN401  (as above)
    ids: Tokens = tokenizer.encode(text, add_special_tokens=False)
    return ids
