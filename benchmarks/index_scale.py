"""How does a collection grow? Filling, building, opening, searching and memory by the number of passages.

`make bench NAME=index_scale`: 10 thousand and 100 thousand passages, some minutes; `INDEX_SIZES=1000000` for others.
Vectors have 384 numbers and lie in clusters, as embeddings do: a passage is its cluster's centre and noise, a query
another draw of the same. Texts are 30 words drawn by Zipf's law; a keyword query is six of them. Every step runs in a
process of its own, so that memory is that of the step. Dense answers are compared with comparing all vectors.
"""

import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.overhead import host
from headrace.contracts.retrieval import Chunk, Compare, Document, EmbedderId, Filter, Index
from headrace.retrieval.collection.index import Collection
from headrace.retrieval.collection.open import DATABASE, IndexOptions, open_index
from headrace.retrieval.nearest.snapshot import MANIFEST

RESULT: Final = Path(__file__).parent / "results" / "index_scale.csv"
SIZES: Final = "10000,100000"
DIMENSIONS: Final = 384
EMBEDDER: Final = EmbedderId("synthetic", "0" * 64, DIMENSIONS)
# Passages of a document, and so of one transaction.
PASSAGES: Final = 250
PER_CLUSTER: Final = 200
# Noise to centre: a passage and its centre then have a cosine of about 0.8, as sentences of one topic have.
NOISE: Final = 0.75
WORDS: Final = 30
VOCABULARY: Final = 50_000
COMMON: Final = 30
QUERIES: Final = 200
K: Final = 10
NEVER: Final = 10**9
# Documents in a hundred that the filters of the search step let pass.
FEW: Final = 1
MANY: Final = 30
COLUMNS: Final = ("date", "commit", "device", "versions", "passages", "kind", "figure", "value")
Vectors = NDArray[np.float32]
Figures = dict[str, float]


def main() -> None:
    """Measure every size and write the result file; with two arguments, do one step in a folder and print it."""
    if len(sys.argv) > 1:
        step, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
        figures = {"fill": fill, "build": build, "search": search}[step](folder, size)
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    sizes = [int(size) for size in os.environ.get("INDEX_SIZES", SIZES).split(",")]
    stamp = [host.now(), host.commit(), host.device(), host.versions("faiss-cpu", "numpy")]
    rows: list[Sequence[object]] = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            figures = {step: _step(step, folder, size) for step in ("fill", "build", "search")}
        kind = str(figures["build"].pop("kind"))
        for step in figures.values():
            rows += [[*stamp, size, kind, name, f"{value:.4g}"] for name, value in step.items()]
    _write(rows, sizes)


def fill(folder: Path, size: int) -> Figures:
    """Put all passages, a document at a time, nothing built meanwhile."""
    index = opened(folder)
    taken = 0.0
    for number, vectors in enumerate(blocks(size)):
        texts = passages(number, len(vectors))
        chunks = tuple(Chunk(text, 0, len(text), WORDS) for text in texts)
        document = Document(f"d{number:06}", f"{number}.md", "0" * 64, "", chunks, {"one in": number % 100})
        rows = [row.tobytes() for row in vectors]
        started = time.perf_counter()
        index.put(document, rows)
        taken += time.perf_counter() - started
    index.close()
    return {
        "put_passages_per_s": size / taken,
        "database_mib": (folder / "collection" / DATABASE).stat().st_size / 2**20,
    }


def build(folder: Path, size: int) -> dict[str, float | str]:
    """Build the FAISS index once."""
    index = opened(folder)
    before = _resident_mib()
    started = time.perf_counter()
    index.settle()
    taken = time.perf_counter() - started
    index.close()
    manifest = json.loads((folder / "collection" / MANIFEST).read_bytes())
    return {
        "build_s": taken,
        "build_passages_per_s": size / taken,
        "build_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before,
        "index_mib": manifest["bytes"] / 2**20,
        "kind": manifest["kind"],
    }


def search(folder: Path, size: int) -> Figures:
    """Open, and time searches one after another in one thread."""
    queries = drawn(size)
    before = _resident_mib()
    started = time.perf_counter()
    index = opened(folder)
    index.dense(queries[0].tobytes(), K)
    opening = time.perf_counter() - started
    figures: Figures = {"open_s": opening}
    found = [[id_ for id_, _ in index.dense(query.tobytes(), K)] for query in queries]
    figures["recall_at_10"] = recall(found, exact(size, queries))
    few, many = Compare("one in", "lt", FEW), Compare("one in", "lt", MANY)
    for name, where, below in (("1", few, FEW), ("30", many, MANY)):
        kept = [[id_ for id_, _ in index.dense(query.tobytes(), K, where)] for query in queries]
        figures[f"recall_at_10_{name}_percent"] = recall(kept, exact(size, queries, below))
    for name, where in {"dense": None, "dense_1_percent": few, "dense_30_percent": many}.items():
        figures |= _timed(name, [_dense(index, query, where) for query in queries])
    figures["search_mib"] = _resident_mib() - before
    words = [" ".join(question(number)) for number in range(QUERIES)]
    figures |= _timed("lexical", [_lexical(index, text, None) for text in words])
    figures |= _timed("lexical_1_percent", [_lexical(index, text, few) for text in words])
    index.close()
    return figures


def opened(folder: Path) -> Collection:
    """Open the collection; nothing is built but on request."""
    options = IndexOptions(rebuild_after=NEVER)
    return open_index(folder / "collection", EMBEDDER, create=True, options=options)


def blocks(size: int) -> Iterator[Vectors]:
    """Yield the passages' vectors, the same at every call, a document's at a time."""
    for number in range(-(-size // PASSAGES)):
        yield _draw(size, min(PASSAGES, size - number * PASSAGES), seed=1 + number)


def drawn(size: int) -> Vectors:
    """Return the queries' vectors."""
    return _draw(size, QUERIES, seed=0)


def passages(document: int, count: int) -> list[str]:
    """Return a document's texts."""
    ranks = np.random.default_rng([2, document]).zipf(1.2, size=(count, WORDS)) % VOCABULARY
    return [" ".join(f"w{rank}" for rank in row) for row in ranks.tolist()]


def question(number: int) -> list[str]:
    """Return a keyword query's words: drawn like a passage's, less the commonest, which a query's stop words are."""
    ranks = np.random.default_rng([3, number]).zipf(1.2, size=200) % VOCABULARY
    return [f"w{rank}" for rank in ranks.tolist() if rank > COMMON][:6]


def exact(size: int, queries: Vectors, below: int = 100) -> list[list[int]]:
    """Return the ids of the K nearest of each query by comparing all; ids are places counted from one.

    below: only of documents whose attribute `one in`, their place modulo 100, is less.
    """
    scores, ids = np.full((len(queries), K), -1.0, dtype=np.float32), np.zeros((len(queries), K), dtype=np.int64)
    seen = 0
    for number, block in enumerate(blocks(size)):
        seen += len(block)
        if number % 100 >= below:
            continue
        together = np.concatenate([scores, queries @ block.T], axis=1)
        places = np.broadcast_to(np.arange(seen - len(block) + 1, seen + 1), (len(queries), len(block)))
        known = np.concatenate([ids, places], axis=1)
        best = np.argpartition(-together, K, axis=1)[:, :K]
        scores, ids = np.take_along_axis(together, best, axis=1), np.take_along_axis(known, best, axis=1)
    return ids.tolist()


def recall(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> float:
    """Return the mean share of what was wanted that was found."""
    return statistics.fmean(len(set(one) & set(other)) / len(other) for one, other in zip(found, wanted, strict=True))


def _draw(size: int, count: int, *, seed: int) -> Vectors:
    random = np.random.default_rng([1, seed])
    centres = _centres(max(1, size // PER_CLUSTER))
    noise = random.standard_normal((count, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    return _unit(centres[random.integers(len(centres), size=count)] + NOISE * noise).astype("<f4")


@cache
def _centres(clusters: int) -> NDArray[np.float64]:
    return _unit(np.random.default_rng(0).standard_normal((clusters, DIMENSIONS)))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _dense(index: Index, query: Vectors, where: Filter | None) -> Callable[[], object]:
    return lambda: index.dense(query.tobytes(), K, where)


def _lexical(index: Index, text: str, where: Filter | None) -> Callable[[], object]:
    return lambda: index.lexical(text, K, where)


def _timed(name: str, searches: Sequence[Callable[[], object]]) -> Figures:
    taken = []
    for one in searches:
        started = time.perf_counter()
        one()
        taken.append((time.perf_counter() - started) * 1e3)
    p50, p99 = np.percentile(taken, [50, 99])
    return {f"{name}_p50_ms": float(p50), f"{name}_p99_ms": float(p99)}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _step(step: str, folder: str, size: int) -> Figures:
    command = [sys.executable, "-m", "benchmarks.index_scale", step, folder, str(size)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    sys.stdout.write(f"{size} {step}: {done.stdout}")
    figures: Figures = json.loads(done.stdout)
    return figures


def _write(rows: Sequence[Sequence[object]], sizes: Sequence[int]) -> None:
    """Replace the rows of these sizes and keep the others."""
    kept: list[Sequence[object]] = []
    if RESULT.is_file():
        with RESULT.open(encoding="utf-8", newline="") as source:
            kept = [row for row in list(csv.reader(source))[1:] if int(row[COLUMNS.index("passages")]) not in sizes]
    with RESULT.open("w", encoding="utf-8", newline="") as sink:
        table = csv.writer(sink, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(sorted([*kept, *rows], key=lambda row: int(str(row[COLUMNS.index("passages")]))))


if __name__ == "__main__":
    main()
