"""Names of documents: labels that are shown and filtered by, never paths that are opened. Pure."""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_MOST_CHARACTERS: Final = 500
_LABEL_DIGITS: Final = 8


def label(name: str) -> str:
    """Return a name without anything that climbs, hides or cannot be written: `../../etc/x` becomes `etc/x`."""
    text = name.encode("utf-8", errors="backslashreplace").decode()
    parts = PurePosixPath(_UNPRINTABLE.sub("", text).replace("\\", "/")).parts
    kept = [part for part in parts if part not in {"/", "//", "..", "."}]
    return "/".join(kept)[-_MOST_CHARACTERS:] or "unnamed"


def relative_name(path: Path, root: Path) -> str:
    """Return a file's name within the folder it came from; what is no text or cannot be printed is spelled out."""
    inside = path.relative_to(root) if path != root else Path(path.name)
    name = os.fsencode(inside.as_posix()).decode("utf-8", errors="backslashreplace")
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), name)


def source_label(place: str) -> str:
    """Return how a source is told from others: its last name and a hash, nothing else of where it is."""
    digest = hashlib.sha256(place.encode("utf-8", errors="backslashreplace")).hexdigest()
    return f"{label(place.rstrip('/').rpartition('/')[2])}-{digest[:_LABEL_DIGITS]}"
