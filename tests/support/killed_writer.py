"""Writers that are killed with no warning, again and again, and what must be true each time: `python -m ... FOLDER N`.

Every round forks a writer that changes documents one after another and says before and after each change, kills it at
a random moment, and forks a reader that opens the collection afresh: it must hold every change that was acknowledged,
the one under way wholly or not at all, and the same documents in its table, its words and its vectors.
"""

import importlib
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from headrace.retrieval.collection.open import DATABASE, IndexOptions, open_index
from tests.support.collections import EMBEDDER, document, turned

LONGEST_S = 0.15
NAMES = [f"d{number}" for number in range(9)]
# Small enough that indexes are being built and saved while writers are killed.
OPTIONS = IndexOptions(rebuild_after=6)
State = dict[str, tuple[int, int]]


class Change(msgspec.Struct):
    """Set a document to this version and mark, change only its mark (version 0), or remove it (version -1)."""

    name: str
    version: int
    mark: int


def changes(seed: int) -> Iterator[Change]:
    """Go on for ever."""
    source = random.Random(seed)  # noqa: S311  (repeatable, nothing secret)
    version = seed * 10_000
    while True:
        version += 1
        kind = source.choices([version, 0, -1], weights=[6, 2, 2])[0]
        yield Change(source.choice(NAMES), kind, version)


def after(state: State, change: Change) -> State:
    """Return what a change makes of a state."""
    changed = dict(state)
    if change.version > 0:
        changed[change.name] = change.version, change.mark
    elif change.version == 0 and change.name in changed:
        changed[change.name] = changed[change.name][0], change.mark
    elif change.version < 0:
        changed.pop(change.name, None)
    return changed


def write(folder: Path, seed: int, told: int) -> None:
    """Change documents until killed."""
    index = open_index(folder, EMBEDDER, create=True, options=OPTIONS)
    for change in changes(seed):
        os.write(told, b"> " + msgspec.json.encode(change) + b"\n")
        if change.version > 0:
            texts = [f"{change.name} v{change.version} part{part}" for part in range(1 + change.version % 3)]
            vectors = [turned(change.version + part) for part in range(len(texts))]
            index.put(document(change.name, texts, {"mark": change.mark}), vectors)
        elif change.version == 0:
            index.annotate(change.name, {"mark": change.mark})
        else:
            index.remove(change.name)
        os.write(told, b"done\n")


def held(folder: Path) -> State:
    """Open the collection, check that all its parts tell of the same documents, and return them."""
    started = time.perf_counter()
    index = open_index(folder, EMBEDDER, create=True, options=OPTIONS)
    infos = {info.id: info for info in index.documents()}
    found = index.passages([id_ for id_, _ in index.dense(turned(0), 1000)])
    state: State = {}
    for name, info in infos.items():
        text = index.text(name) or ""
        version, mark = int(text.split()[1][1:]), int(info.attributes["mark"])
        mine = [passage for passage in found if passage.document == name]
        words = index.passages([id_ for id_, _ in index.lexical(f"v{version}", 1000)])
        expected = sorted(text.splitlines())
        if not sorted(one.text for one in mine) == sorted(one.text for one in words) == expected:
            raise AssertionError(f"{name}: {expected}, vectors {mine}, words {words}")
        state[name] = version, mark
    if {passage.document for passage in found} != set(infos):
        raise AssertionError("vectors of documents that are gone")
    if time.perf_counter() - started > 5.0:
        raise AssertionError("opening took over five seconds")
    index.close()
    with sqlite3.connect(folder / DATABASE) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
    if verdict != "ok":
        raise AssertionError(verdict)
    return state


def forked(work: Callable[[], None]) -> int:
    """Run in a child process that ends with it; returns its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:  # noqa: BLE001  (a child must end here, whatever happens)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def one_round(folder: Path, seed: int, state: State) -> tuple[State, int]:
    """Let one writer be killed, and return what the collection then holds and how many changes were acknowledged."""
    heard, told = os.pipe()
    writer = forked(lambda: write(folder, seed, told))
    os.close(told)
    time.sleep(random.Random(seed).uniform(0.0, LONGEST_S))  # noqa: S311  (repeatable, nothing secret)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    with os.fdopen(heard, "rb") as pipe:
        lines = pipe.read().splitlines()
    possible = [state]
    for line in lines:
        if line == b"done":
            possible = possible[-1:]
        else:
            possible = [possible[-1], after(possible[-1], msgspec.json.decode(line[2:], type=Change))]
    heard, told = os.pipe()
    reader = forked(lambda: _tell(told, held(folder)))
    os.close(told)
    with os.fdopen(heard, "rb") as pipe:
        found = pipe.read()
    if os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]):
        raise SystemExit(f"round {seed}: not whole")
    now = msgspec.json.decode(found, type=State)
    if now not in possible:
        raise SystemExit(f"round {seed}: {now} is none of {possible}")
    return now, lines.count(b"done")


def _tell(pipe: int, state: State) -> None:
    os.write(pipe, msgspec.json.encode(state))


def main() -> None:
    """Do as many rounds as asked for and print how many changes survived."""
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    importlib.import_module("headrace.retrieval.nearest.engine")  # once, so that no round pays for it
    state: State = {}
    total = 0
    for seed in range(1, rounds + 1):
        state, acknowledged = one_round(folder, seed, state)
        total += acknowledged
    sys.stdout.write(f"{rounds} writers killed after {total} changes, {len(state)} documents whole\n")


if __name__ == "__main__":
    main()
