"""Reads the project's own pages: which there are, their fenced blocks, links and named paths."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("gateway", "router", "retrieval", "models", "kernels", "src", "tests", "benchmarks", "docker", "docs")
_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_CODE: Final = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of one page."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text.splitlines()[0][:40]}"


def pages() -> list[Path]:
    """Return every page that people read."""
    folders = ("docs", "docker", "examples", "benchmarks", "router", "kernels", "models", "gateway", "retrieval")
    inside = [page for folder in folders for page in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *inside])


def blocks(*languages: str) -> list[Block]:
    """Return the fenced blocks of some languages."""
    return [
        Block(page, match[1], match[2])
        for page in pages()
        for match in _FENCED.finditer(page.read_text())
        if match[1] in languages
    ]


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links within the repository."""
    for match in _LINK.finditer(page.read_text()):
        if not match[1].startswith(("http://", "https://", "mailto:")):
            yield match[1]


def named_paths(page: Path) -> set[str]:
    """Return the paths of this repository that a page names in code spans."""
    text = _FENCED.sub("", page.read_text())
    words = (match[1].removesuffix("/") for match in _CODE.finditer(text))
    return {
        word for word in words if "/" in word and word.split("/")[0] in ROOMS and not re.search(r"[\s*{}$…<>]", word)
    }
