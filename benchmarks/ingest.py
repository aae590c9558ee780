"""How fast do documents come in? 1,000 mixed files: conversion and chunking alone, then with embedding and the index.

`make bench NAME=ingest`, about two minutes on two cores. The files are made from a seed: text, Markdown, HTML, CSV,
JSON, code, DOCX and PDF, most of a few kilobytes, some of a few hundred. Conversion runs in its locked-down process,
chunking counts tokens with the tokenizer of the default embedder. `embedded` takes every 90th file through the whole of
`headrace index add`, into a library of its own.
Other load on the machine is part of what is measured, so beside the seconds that pass stand those on the processor, of
this process and the converting ones.
"""

import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.overhead import host
from headrace.cli.place import TENANT, Place
from headrace.cli.shelf import LibraryShelf
from headrace.models.store.store import Store
from headrace.retrieval.chunk.chunk import chunk
from headrace.retrieval.chunk.sizes import AUTO
from headrace.retrieval.chunk.tokens import Tokens
from headrace.retrieval.collection.open import IndexOptions
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.ingest.embedding import ModelEmbed
from headrace.retrieval.ingest.job import Job, Parts, Step
from headrace.retrieval.ingest.sources import Source, open_path
from headrace.retrieval.library.library import Library
from tests.support.office import docx, paragraph, pdf

RESULT: Final = Path(__file__).parent / "results" / "ingest.csv"
EMBEDDER: Final = "all-minilm-l6-v2"
FILES: Final = 1000
EMBEDDED_EVERY: Final = 90
SEED: Final = 20261122
SENTENCES: Final = (1, 12)  # of a paragraph
PARAGRAPHS: Final = (4, 40)
LONG_EVERY: Final = 50  # a file so many times as long
LONGER: Final = 12
FIGURES: Final = ("files", "bytes", "passages", "seconds", "cpu_s")
COLUMNS: Final = (
    "part",
    "format",
    "files",
    "megabytes",
    "passages",
    "seconds",
    "cpu_s",
    "files_per_s",
    "passages_per_s",
    "megabytes_per_s",
)
_WORDS: Final = (
    *("water", "gate", "river", "channel", "flow", "turbine", "pressure", "valve", "level", "basin", "intake"),
    *("spillway", "lock", "canal", "sluice", "penstock", "the", "a", "of", "to", "in", "and", "is", "that", "for"),
    *("with", "as", "on", "by", "at", "from", "it", "was", "are", "be", "this", "has", "had", "which", "one", "or"),
)

Chance = random.Random


def sentence(chance: Chance) -> str:
    """Return a sentence of 4 to 20 words."""
    return " ".join(chance.choices(_WORDS, k=chance.randint(4, 20))).capitalize() + "."


def paragraphs(chance: Chance, times: int) -> list[str]:
    """Return the paragraphs of one document."""
    count = chance.randint(*PARAGRAPHS) * times
    return [" ".join(sentence(chance) for _ in range(chance.randint(*SENTENCES))) for _ in range(count)]


def markdown(chance: Chance, times: int) -> bytes:
    """Return headings, paragraphs, a table and a code block."""
    parts = [f"{'#' * chance.randint(1, 3)} {sentence(chance)}\n\n{text}" for text in paragraphs(chance, times)]
    return "\n\n".join([*parts, "| a | b |\n|---|---|\n| 1 | 2 |", "```py\nx = 1\n```"]).encode()


def html(chance: Chance, times: int) -> bytes:
    """Return a page with a menu that is hidden and a table."""
    body = "".join(f"<h2>{sentence(chance)}</h2><p>{text}</p>" for text in paragraphs(chance, times))
    return f"<title>Page</title><nav style='display:none'>menu</nav>{body}<table><tr><td>1</td></tr></table>".encode()


def table(chance: Chance, times: int) -> bytes:
    """Return a CSV of five columns."""
    rows = (",".join(str(chance.randint(0, 9999)) for _ in range(4)) for _ in range(100 * times))
    return ("name,flow,level,year,power\n" + "\n".join(f"{chance.choice(_WORDS)},{row}" for row in rows)).encode()


def records(chance: Chance, times: int) -> bytes:
    """Return JSON Lines."""
    return "\n".join(f'{{"id": {n}, "text": "{sentence(chance)}"}}' for n in range(50 * times)).encode()


def code(chance: Chance, times: int) -> bytes:
    """Return Python functions."""
    return "\n\n".join(
        f'def f{n}(x):\n    """{sentence(chance)}"""\n    return x + {n}\n' for n in range(30 * times)
    ).encode()


def office(chance: Chance, times: int) -> bytes:
    """Return a DOCX of headings and paragraphs."""
    body = "".join(
        paragraph(sentence(chance), style="Heading1") + paragraph(text) for text in paragraphs(chance, times)
    )
    return docx(body)


def pages(chance: Chance, times: int) -> bytes:
    """Return a PDF of ten lines a page."""
    return pdf(["\n".join(sentence(chance)[:80] for _ in range(30)) for _ in range(chance.randint(2, 10) * times)])


MAKERS: Final[Mapping[str, Callable[[Chance, int], bytes]]] = {
    "txt": lambda chance, times: "\n\n".join(paragraphs(chance, times)).encode(),
    "md": markdown,
    "html": html,
    "csv": table,
    "jsonl": records,
    "py": code,
    "docx": office,
    "pdf": pages,
}


def make_files(folder: Path, count: int, seed: int = SEED) -> None:
    """Write so many files, one format after another; the same ones for the same seed."""
    chance = Chance(seed)  # the same files every time
    for number in range(count):
        extension = list(MAKERS)[number % len(MAKERS)]
        times = LONGER if number % LONG_EVERY == 0 else 1
        (folder / f"{number:04}.{extension}").write_bytes(MAKERS[extension](chance, times))


def main() -> None:
    """Time both parts and write the result file."""
    store = Store()
    model = store.path(EMBEDDER)
    with tempfile.TemporaryDirectory() as scratch:
        docs = Path(scratch) / "docs"
        docs.mkdir()
        make_files(docs, FILES)
        source = open_path(str(docs))
        lines = converted(source, Tokens.load(model))
        some = Source(source.label, source.items[::EMBEDDED_EVERY], source.holds)
        lines.append(embedded(some, model, Path(scratch)))
    _write(lines)


def converted(source: Source, tokens: Tokens) -> list[tuple[str, ...]]:
    """Convert and cut every file, and tell how fast: of each format and of all."""
    spent: dict[str, list[float]] = {}
    with Converter() as converter:
        converter.convert(b"warm", "warm.txt")
        for item in source.items:
            content = item.read(converter.limits)
            started = clocks()
            found = converter.convert(content, item.name)
            between = clocks()
            chunks = chunk(found, tokenizer=tokens)
            ended = clocks()
            extension = item.name.rpartition(".")[2]
            for part, taken in (("convert", between - started), ("chunk", ended - between)):
                for key in (f"{part} {extension}", f"{part} all"):
                    tally = spent.setdefault(key, [0.0] * len(FIGURES))
                    for place, value in enumerate((1, len(content), len(chunks), *taken)):
                        tally[place] += value
    return [_line(key, *tally) for key, tally in spent.items()]


def clocks() -> npt.NDArray[np.float64]:
    """Return the seconds that have passed, and those on the processor of this process and the converting ones."""
    spent = time.process_time()
    for child in psutil.Process().children():
        times = child.cpu_times()
        spent += times.user + times.system
    return np.array([time.perf_counter(), spent])


def embedded(source: Source, model: Path, scratch: Path) -> tuple[str, ...]:
    """Take files all the way into a library, and tell how fast."""
    place = Place(Library(scratch / "library"), IndexOptions(), EMBEDDER, model, scratch)
    store = place.library.stores.create(TENANT, "bench").id
    steps: list[Step] = []
    with Converter(embedder=model) as converter, place.index(store, create=True) as index:
        converter.convert(b"warm", "warm.txt")
        shelf = LibraryShelf(place, store, index, AUTO)
        parts = Parts(
            converter, Tokens.load(model), ModelEmbed.load(model, threads=len(os.sched_getaffinity(0))), shelf
        )
        started = clocks()
        Job(parts, steps.append).run([source])
        taken = clocks() - started
    size = sum(step.bytes for step in steps)
    return _line("embedded all", len(steps), size, sum(step.chunks for step in steps), *taken)


def _line(key: str, *figures: float) -> tuple[str, ...]:
    files, size, passages, seconds, cpu_s = figures
    megabytes = size / 1e6
    told = (f"{files:.0f}", f"{megabytes:.2f}", f"{passages:.0f}", f"{seconds:.2f}", f"{cpu_s:.2f}")
    return (*key.split(), *told, *(f"{amount / seconds:.3g}" for amount in (files, passages, megabytes)))


def _write(lines: Sequence[tuple[str, ...]]) -> None:
    libraries = host.versions("markitdown", "pypdfium2", "tokenizers", "onnxruntime", "faiss-cpu")
    stamp = {"date": host.now(), "commit": host.commit(), "device": host.device(), "versions": libraries}
    with RESULT.open("w", encoding="utf-8", newline="") as sink:
        out = csv.writer(sink, lineterminator="\n")
        out.writerow([*stamp, *COLUMNS])
        for line in lines:
            out.writerow([*stamp.values(), *line])
            sys.stdout.write("  ".join(line) + "\n")


if __name__ == "__main__":
    main()
