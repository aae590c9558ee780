"""Kills an ingest again and again at random points and checks after each kill that nothing is half there.

`python -m tests.support.killed_ingest HOME DOCS KILLS` prints one JSON line: kills that hit, and what is there at last.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from headrace.cli.place import TENANT, Place
from headrace.cli.shelf import LibraryShelf
from headrace.contracts.retrieval import Chunk, Converted
from headrace.retrieval.chunk.chunk import chunk
from headrace.retrieval.chunk.sizes import AUTO, Sizes
from headrace.retrieval.ingest.convert import Converter
from headrace.retrieval.ingest.job import Job, Parts
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers.read import read
from headrace.retrieval.ingest.sources import open_path
from tests.support.counting import word_tokens

__all__ = ["main"]

_SEED = 7


class _Here(Converter):
    """Converts in this process: what is killed here is the writing, and another process takes a second to start."""

    def cut(self, content: bytes, name: str, sizes: Sizes) -> tuple[Converted, tuple[Chunk, ...]]:
        converted = read(name, content, Limits())
        return converted, chunk(converted, max_tokens=sizes.max_tokens, overlap=sizes.overlap, tokenizer=word_tokens())


class _Even:
    def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [b"\x00\x00\x80\x3f" + b"\x00" * 12 for _ in texts]


def ingest(docs: Path) -> None:
    """Bring the collection up to date."""
    place = Place.of(None)
    store = place.find("handbook") or place.library.stores.create(TENANT, "handbook")
    with place.index(store.id, create=True) as index:
        shelf = LibraryShelf(place, store.id, index, AUTO)
        Job(Parts(_Here(), word_tokens(), _Even(), shelf), lambda _: None).run([open_path(str(docs))])


def killed_at(docs: Path, after_s: float) -> bool:
    """Ingest in a process of its own and kill it after a while; False where it had ended before."""
    child = os.fork()
    if child == 0:
        ingest(docs)
        os._exit(0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def check(acknowledged: set[str]) -> set[str]:
    """Return the names of the documents that are shown, each checked to be whole, and none of the acknowledged lost."""
    place = Place.of(None)
    store = place.find("handbook")
    if store is None:
        return set()
    shown = [member.file for member in place.members(store.id) if member.status == "completed"]
    names = set()
    with place.index(store.id, create=True) as index:
        infos = {info.id: info for info in index.documents()}
        for file in shown:
            info = infos[file]
            text = index.text(file)
            if text is None or info.chunks == 0 or place.library.files.get(TENANT, file).sha256 != info.sha256:
                raise SystemExit(f"{info.name} is half there")
            names.add(info.name)
    if acknowledged - names:
        raise SystemExit(f"lost: {acknowledged - names}")
    return names


def main(docs: Path, kills: int) -> None:
    """Kill and check so many times, then let it end and tell what is there."""
    chance = random.Random(_SEED)  # noqa: S311  (moments to kill at, not secrets)
    hits, names, rounds = 0, set[str](), 0
    while hits < kills and rounds < 20 * kills:
        rounds += 1
        if len(names) > len(list(docs.iterdir())) // 2:
            for path in docs.iterdir():  # changed content keeps every run at work
                path.write_text(f"{path.name} in round {rounds}. " + "Some more words. " * 30)
        hits += killed_at(docs, chance.uniform(0.0, 0.25))
        names = check(names)
    ingest(docs)
    place = Place.of(None)
    with place.index(place.store("handbook").id) as index:
        documents = sorted(info.name for info in index.documents())
    sys.stdout.write(json.dumps({"hits": hits, "documents": documents, "shown": sorted(check(names))}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
