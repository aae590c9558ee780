"""Reads a collection in BEIR's form: corpus.jsonl, queries.jsonl (each also .gz) and qrels.tsv or qrels/<split>.tsv.

Fields that nobody asked for are ignored, a title may be missing. A bad line is a ConfigError that starts `file:line:`.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from headrace.contracts.errors import ConfigError

_BOM: Final = b"\xef\xbb\xbf"
_SPLITS: Final = ("test", "dev")
_COLUMNS: Final = 3
_GZIP: Final = b"\x1f\x8b"


class Record(msgspec.Struct, frozen=True, rename={"id": "_id"}):
    """One passage, or one question (which has no title)."""

    id: str
    text: str
    title: str | None = None

    @property
    def whole(self) -> str:
        """The title, if there is one, and the text: what an embedder is given."""
        return f"{self.title} {self.text}".strip() if self.title else self.text.strip()


@dataclass(frozen=True, slots=True)
class Dataset:
    """judged[question][passage] is its grade; grades of 0 and less are not relevant."""

    corpus: Sequence[Record]
    queries: Sequence[Record]
    judged: Mapping[str, Mapping[str, int]]


class _Loose(msgspec.Struct, rename={"id": "_id"}):
    id: str | int
    text: str | None = None
    title: str | None = None


_decode = msgspec.json.Decoder(_Loose).decode


def read(folder: Path) -> Dataset:
    """Read a dataset; its queries are those with a relevant passage. ConfigError says where and what is wrong."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name one with corpus.jsonl, queries.jsonl and qrels.tsv")
    corpus = _records(_one_of(folder, "corpus"))
    queries = _records(_one_of(folder, "queries"))
    qrels = _qrels_file(folder)
    judged = _judgements(qrels, {record.id for record in queries})
    asked = [query for query in queries if any(grade > 0 for grade in judged.get(query.id, {}).values())]
    if not asked:
        raise ConfigError(f"{qrels}: no question of {folder.name} has a relevant passage; check the ids of its columns")
    return Dataset(corpus, asked, judged)


def _one_of(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.jsonl", f"{stem}.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"{folder}: neither {stem}.jsonl nor {stem}.jsonl.gz is here; a BEIR folder has one of them")


def _qrels_file(folder: Path) -> Path:
    wanted = [folder / "qrels.tsv", *(folder / "qrels" / f"{split}.tsv" for split in _SPLITS)]
    for path in (*wanted, *(path.with_name(f"{path.name}.gz") for path in wanted)):
        if path.is_file():
            return path
    raise ConfigError(f"{folder}: no qrels.tsv, qrels/test.tsv or qrels/dev.tsv; the judgements must be in one of them")


def _records(path: Path) -> list[Record]:
    found: dict[str, Record] = {}
    for number, line in lines(path):
        try:
            loose = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(f'{path}:{number}: not an object with "_id" and "text": {exc}') from exc
        text, title = loose.text or "", loose.title or None
        record = Record(str(loose.id), text, title) if text.strip() or not title else Record(str(loose.id), title)
        if not record.id or (loose.text is None and not title):
            raise ConfigError(f'{path}:{number}: "_id" or "text" is missing or empty; give both')
        if record.id in found:
            raise ConfigError(f'{path}:{number}: "_id" {record.id!r} stands twice; keep one')
        found[record.id] = record
    if not found:
        raise ConfigError(f"{path}: the file is empty; it needs one JSON object a line")
    return list(found.values())


def _judgements(path: Path, queries: set[str]) -> dict[str, dict[str, int]]:
    """Judgements of questions that are not here are left out; of passages that are not here they count, as missed."""
    judged: dict[str, dict[str, int]] = {}
    for row, (number, line) in enumerate(lines(path)):
        try:
            fields = line.decode().split("\t")
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{path}:{number}: not UTF-8 ({exc.reason}); save the file as UTF-8") from exc
        if len(fields) < _COLUMNS:
            raise ConfigError(
                f"{path}:{number}: {len(fields)} columns; query-id, corpus-id and score are wanted, split by tabs"
            )
        query, passage, score = (field.strip() for field in fields[:_COLUMNS])
        if row == 0 and not _is_whole(score):
            continue
        if not _is_whole(score):
            raise ConfigError(f"{path}:{number}: score {score!r} is not a whole number")
        if query in queries:
            judged.setdefault(query, {})[passage] = int(float(score))
    return judged


def _is_whole(text: str) -> bool:
    try:
        return float(text).is_integer()
    except (ValueError, OverflowError):
        return False


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that say something with their numbers, without a byte-order mark."""
    number = 0
    try:
        with path.open("rb") as raw:
            is_packed = raw.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if is_packed else path.open("rb") as source:
            for number, line in enumerate(source, 1):
                text = (line.removeprefix(_BOM) if number == 1 else line).strip(b"\r\n")
                if text.strip():
                    yield number, text
    except (OSError, EOFError, zlib.error) as exc:
        raise ConfigError(f"{path}:{number + 1}: cannot be read: {exc}") from exc
