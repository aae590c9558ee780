"""A dataset's passages put into an index as serving would have them, in shards that are kept from run to run.

A shard is one document of the index under the hash of its content, so a run that was cut short goes on where it ended
and a second one embeds nothing. What is longer than the embedder reads is cut into as few pieces as it takes, of like
size; a ranking of pieces becomes one of passages by the best piece of each.
"""

import hashlib
import math
import re
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, groupby
from pathlib import Path
from typing import Final

import msgspec

from headrace.contracts.retrieval import Chunk, Converted, Document, EmbedderId, Hit, Index
from headrace.retrieval.chunk.chunk import chunk
from headrace.retrieval.chunk.context import in_context
from headrace.retrieval.chunk.tokens import Tokenizer
from headrace.retrieval.collection.schema import FORMAT
from headrace.retrieval.embed.model import EmbeddingModel
from headrace.retrieval.search.beir import Record

SHARD: Final = 512
KEPT: Final = 8
PREFIX: Final = "rag-"
# About what a core's cache holds the activations of; larger batches are a third slower.
_BATCH_TOKENS: Final = 768
_BETWEEN: Final = "\n"
_WORD: Final = re.compile(r"\S+")
# Part of the window left free, since the last word of a piece may stand over the piece's share.
_SLACK: Final = 1 / 16
_MAKING: Final = f"{FORMAT}.1"

Tell = Callable[[int, int], None]


class Shard(msgspec.Struct, frozen=True):
    """Records of a corpus from `first` on, under the hash of what they say."""

    id: str
    first: int
    records: Sequence[Record]


class Corpus:
    """Which record each piece of an index is part of. starts, owners: by shard, in the order of the text."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.shards = tuple(_shards(records))
        self._records = records
        self._starts: dict[str, list[int]] = {}
        self._owners: dict[str, list[int]] = {}
        self.pieces = 0

    @property
    def digest(self) -> str:
        """The hash of the whole corpus."""
        return _hash(*(shard.id for shard in self.shards))

    def cut(self, shard: Shard, tokenizer: Tokenizer) -> tuple[str, list[Chunk]]:
        """Return a shard's text and its pieces, and remember whose they are."""
        pieces: list[tuple[int, Chunk]] = []
        counts = tokenizer.count([record.whole for record in shard.records])
        is_long = [count > tokenizer.window for count in counts]
        costs = _costs([record for record, long in zip(shard.records, is_long, strict=True) if long], tokenizer)
        for place, (record, count) in enumerate(zip(shard.records, counts, strict=True)):
            cut = _cut(record, tokenizer, costs) if is_long[place] else [_whole(record, count)]
            pieces += [(shard.first + place, piece) for piece in cut]
        chunks, at = [], 0
        for _, piece in pieces:
            chunks.append(msgspec.structs.replace(piece, start=at, end=at + len(piece.text)))
            at += len(piece.text) + len(_BETWEEN)
        self._starts[shard.id] = [piece.start for piece in chunks]
        self._owners[shard.id] = [owner for owner, _ in pieces]
        self.pieces += len(chunks)
        return _BETWEEN.join(piece.text for piece in chunks), chunks

    def ranking(self, hits: Sequence[Hit], most: int) -> list[str]:
        """Return the ids of the records behind hits, each once, in the order of its best piece."""
        owners = (self._owner(hit.passage.document, hit.passage.start) for hit in hits)
        return [self._records[owner].id for owner in dict.fromkeys(owners)][:most]

    def _owner(self, shard: str, start: int) -> int:
        return self._owners[shard][bisect_right(self._starts[shard], start) - 1]


class Filler:
    """Puts a corpus into an index. threads: of the embedding model, each with a batch of its own."""

    def __init__(self, model: EmbeddingModel, tokenizer: Tokenizer, *, threads: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._threads = threads

    def fill(self, index: Index, corpus: Corpus, tell: Tell) -> None:
        """Embed and put what is not in the index yet; `tell` is given records done and records in all."""
        total = sum(len(shard.records) for shard in corpus.shards)
        held = {info.id for info in index.documents()}
        with ThreadPoolExecutor(self._threads) as pool:
            for shard in corpus.shards:
                text, chunks = corpus.cut(shard, self._tokenizer)
                if shard.id not in held:
                    vectors = self._embed(in_context(chunks, self._tokenizer), pool)
                    index.put(Document(shard.id, "", shard.id, text, tuple(chunks)), vectors)
                tell(shard.first + len(shard.records), total)

    def _embed(self, texts: Sequence[str], pool: ThreadPoolExecutor) -> list[bytes]:
        sequences = self._model.tokenize(list(texts))
        vectors = [b""] * len(sequences)
        batches = list(_batches([len(ids) for ids in sequences]))
        found = pool.map(lambda places: self._model.embed([sequences[place] for place in places]), batches)
        for places, batch in zip(batches, found, strict=True):
            for place, vector in zip(places, batch, strict=True):
                vectors[place] = vector
        return vectors


def place_of(home: Path, corpus: Corpus, embedder: EmbedderId) -> Path:
    """Return the folder of a corpus's index; of those used before, the last few are kept."""
    scratch = home / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    folder = scratch / (PREFIX + _hash(_MAKING, embedder.model, embedder.sha256, corpus.digest)[:16])
    others = [path for path in scratch.glob(f"{PREFIX}*") if path != folder]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.touch()
    return folder


def _shards(records: Sequence[Record]) -> Iterator[Shard]:
    for first in range(0, len(records), SHARD):
        part = records[first : first + SHARD]
        yield Shard(
            _hash(str(first), *(word for record in part for word in (record.title or "", record.text))), first, part
        )


def _hash(*words: str) -> str:
    whole = hashlib.sha256()
    for word in words:
        data = word.encode("utf-8", "surrogatepass")
        whole.update(b"%d:" % len(data) + data)
    return whole.hexdigest()


def _whole(record: Record, tokens: int) -> Chunk:
    text = record.text.strip() or " "
    return Chunk(text, 0, len(text), tokens, record.title or "")


def _costs(records: Sequence[Record], tokenizer: Tokenizer) -> dict[str, int]:
    """Return the tokens of every word, each counted once."""
    words = list({word for record in records for word in _WORD.findall(record.text)})
    return dict(zip(words, tokenizer.count(words), strict=True))


def _cut(record: Record, tokenizer: Tokenizer, costs_of: Mapping[str, int]) -> list[Chunk]:
    """Cut at the blanks, by the tokens of each word; a text with a word too long for that goes the way of an ingest."""
    spans = [found.span() for found in _WORD.finditer(record.text)]
    costs = [costs_of[record.text[start:end]] for start, end in spans]
    total = max(1, sum(costs))
    share = total / math.ceil(total / (tokenizer.window * (1 - _SLACK)))
    groups = groupby(zip(spans, accumulate(costs), strict=True), key=lambda word: int((word[1] - 1) / share))
    cut = [[span for span, _ in group] for _, group in groups]
    texts = [record.text[group[0][0] : group[-1][1]] for group in cut]
    pieces = [Chunk(text, 0, len(text), tokens) for text, tokens in zip(texts, tokenizer.count(texts), strict=True)]
    if any(piece.tokens > tokenizer.window for piece in pieces):
        pieces = list(
            chunk(Converted("", "", record.text), max_tokens=tokenizer.window, overlap=0, tokenizer=tokenizer)
        )
    return [msgspec.structs.replace(piece, heading=record.title or "") for piece in pieces]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of sequences of like length: a batch costs its longest."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    at = 0
    while at < len(order):
        size = max(1, _BATCH_TOKENS // lengths[order[at]])
        yield order[at : at + size]
        at += size
