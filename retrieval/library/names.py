"""Names of files as they may be shown and logged: no folders, no control or invisible characters. Pure."""

import unicodedata
from typing import Final

MAX_NAME_BYTES: Final = 255
UNNAMED: Final = "unnamed"
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SEPARATORS: Final = str.maketrans("\\\u2215\u29f8\uff0f\u2044", "/////")


def clean_name(name: str) -> str:
    """Return the last part of a path as a plain name of at most 255 bytes; its ending survives the cut."""
    base = unicodedata.normalize("NFC", name).translate(_SEPARATORS).rsplit("/", 1)[-1]
    shown = "".join(char for char in base if unicodedata.category(char) not in _HIDDEN)
    plain = " ".join(shown.split())
    if not plain.strip(". "):
        return UNNAMED
    return _cut(plain, MAX_NAME_BYTES)


def _cut(name: str, limit: int) -> str:
    if len(name.encode()) <= limit:
        return name
    stem, dot, ending = name.rpartition(".")
    tail = f"{dot}{ending}" if stem and len(ending.encode()) < limit // 4 else ""
    head = (stem if tail else name).encode()[: limit - len(tail.encode())]
    return head.decode(errors="ignore") + tail
