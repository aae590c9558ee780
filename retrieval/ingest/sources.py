"""Where documents come from on this machine: folders, globs, single files, a stream. Finds and reads, converts nothing.

Symbolic links inside a folder are not followed, names that begin with a dot are left out, and the order is that of the
names. Something that cannot be read is an item too: reading it says why.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Attributes
from headrace.retrieval.ingest import refusals
from headrace.retrieval.ingest.convert import read_file
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.names import label, relative_name, source_label

_MAGIC: Final = re.compile(r"[*?\[]")


class Item(msgspec.Struct, frozen=True):
    """One document to be. name: within its source. read: returns its bytes; InvalidRequest says why it cannot.

    hides: what is under this name is not known either: a folder that cannot be read. document, attributes: of one that
    was a document before and keeps its id and attributes.
    """

    name: str
    read: Callable[[Limits], bytes]
    hides: bool = False
    document: str = ""
    attributes: Attributes = {}


class Source(msgspec.Struct, frozen=True):
    """Items that belong together. holds: tells of a name whether it would be one of them."""

    label: str
    items: Sequence[Item]
    holds: Callable[[str], bool]


def open_path(given: str, pattern: str | None = None) -> Source:
    """Return the source that a path, or a glob in its place, names; InvalidRequest where there is nothing."""
    path = Path(given)
    if not os.path.lexists(path) and _MAGIC.search(given):
        path, pattern = _split(given)
    try:
        root = path.resolve(strict=True)
    except (OSError, RuntimeError) as exc:
        raise InvalidRequest(f"no file or folder {given!r}; name one that exists, or - for the standard input") from exc
    if not root.is_dir():
        return Source(source_label(str(root)), (_item(root, root),), lambda name: name == relative_name(root, root))
    wanted = _matcher(pattern)
    items = sorted(_walk(root, root), key=lambda item: item.name)
    return Source(source_label(str(root)), tuple(item for item in items if item.hides or wanted(item.name)), wanted)


def from_bytes(content: bytes, name: str, place: str) -> Source:
    """Return a source of one document that is at hand. place: where it came from."""
    shown = label(name)
    return Source(source_label(place), (Item(shown, lambda _: content),), lambda other: other == shown)


def failed(name: str, place: str, error: InvalidRequest) -> Source:
    """Return a source that could not be had; what it brought before stays."""
    return Source(place, (Item(name, _refuser(error)),), lambda _: False)


def from_stream(stream: BinaryIO, name: str, limits: Limits) -> Source:
    """Return a source of the bytes of a stream; InvalidRequest where there are more than one file may have."""
    content = stream.read(limits.max_bytes + 1)
    if len(content) > limits.max_bytes:
        raise refusals.too_large("the standard input has", f"more than {limits.max_bytes:,} bytes", "are taken")
    return from_bytes(content, name, f"stdin/{name}")


def matches(name: str, pattern: str) -> bool:
    """Tell whether a name within a folder fits a glob: `*` stays within a folder, `**` does not.

    A pattern without a slash is for the last part of the name, in whatever folder.
    """
    if "/" not in pattern:
        return fnmatch.fnmatchcase(name.rpartition("/")[2], pattern)
    return re.fullmatch(_translated(pattern), name) is not None


def _translated(pattern: str) -> str:
    parts = []
    for part in pattern.strip("/").removeprefix("./").split("/"):
        if part == "**":
            parts.append("(?:[^/]+/)*")
        else:
            inner = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z").replace(".*", "[^/]*")
            parts.append(inner + "/")
    whole = "".join(parts)
    return whole[:-1] if whole.endswith("/") else whole + "[^/]+"


def _matcher(pattern: str | None) -> Callable[[str], bool]:
    return (lambda _: True) if pattern is None else lambda name: matches(name, pattern)


def _split(given: str) -> tuple[Path, str]:
    """Return the folder in front of a glob's first special part, and the rest."""
    parts = Path(given).parts
    first = next(place for place, part in enumerate(parts) if _MAGIC.search(part))
    return Path(*parts[:first]), "/".join(parts[first:]) if first < len(parts) - 1 else f"./{parts[first]}"


def _walk(folder: Path, root: Path) -> Iterator[Item]:
    try:
        entries = list(os.scandir(folder))
    except OSError as exc:
        error = refusals.unreadable(f"the folder: {exc.strerror}")
        yield Item(relative_name(folder, root), _refuser(error), hides=True)
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), root)
        elif entry.is_file(follow_symlinks=False):
            yield _item(Path(entry.path), root)


def _item(path: Path, root: Path) -> Item:
    return Item(relative_name(path, root), lambda limits: read_file(path, limits))


def _refuser(error: InvalidRequest) -> Callable[[Limits], bytes]:
    def refuse(_: Limits) -> bytes:
        raise error

    return refuse
