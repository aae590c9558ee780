"""What kind of file this is: by its first bytes where they tell, else by the extension of its name. Pure."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Literal

from headrace.retrieval.ingest import refusals

Format = Literal["text", "markdown", "html", "pdf", "docx", "csv", "tsv", "json", "jsonl", "code"]

MARKUP: Final = frozenset({"html", "docx"})  # what the heavy converters read
_CODE: Final = (
    "bash c cc cfg clj cmake conf cpp cs css cu cxx dart diff dockerfile el erl ex exs fish fs go gradle graphql "
    "groovy h hcl hh hpp hs hxx ini ipynb java jl js jsx kt kts less lisp lua m mk ml mli mm nim nix patch php pl pm "
    "properties proto ps1 py pyi pyx r rb rs sass scala scm scss sh sol sql svelte swift tcl tf toml ts tsx v vb vhd "
    "vue xml xsd xsl yaml yml zig zsh"
)
_NAMED: Final = {"makefile", "dockerfile", "jenkinsfile", "rakefile", "gemfile", "vagrantfile", "cmakelists.txt"}
_EXTENSIONS: Final[Mapping[str, Format]] = {
    **dict.fromkeys(_CODE.split(), "code"),
    **dict.fromkeys(("md", "markdown", "mdx", "mkd"), "markdown"),
    **dict.fromkeys(("html", "htm", "xhtml"), "html"),
    **dict.fromkeys(("jsonl", "ndjson"), "jsonl"),
    "pdf": "pdf",
    "docx": "docx",
    "csv": "csv",
    "tsv": "tsv",
    "json": "json",
}
_BINARY: Final[Mapping[bytes, str]] = {
    b"\x89PNG": "is a PNG image",
    b"\xff\xd8\xff": "is a JPEG image",
    b"GIF8": "is a GIF image",
    b"RIFF": "is a RIFF container (image, sound or film)",
    b"\x1f\x8b": "is gzip-compressed",
    b"BZh": "is bzip2-compressed",
    b"\xfd7zXZ": "is xz-compressed",
    b"\x28\xb5\x2f\xfd": "is zstd-compressed",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive",
    b"Rar!": "is a RAR archive",
    b"\x7fELF": "is a program",
    b"MZ": "is a program",
    b"\x80\x04": "is a pickle, which can run code",
    b"\x80\x05": "is a pickle, which can run code",
    b"SQLite format 3\x00": "is a SQLite database",
}
_PDF_WITHIN: Final = 1024
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = b"PK\x03\x04"
_CONTAINERS: Final = {"pdf", "docx"}


def detect(name: str, content: bytes) -> Format:
    """Return the format of a file; InvalidRequest for one that no reader takes, or that is not what its name says."""
    if not content:
        raise refusals.empty("is empty: 0 bytes")
    named = by_name(name)
    found = _by_content(content, named)
    if found is not None:
        return found
    if named in _CONTAINERS:
        raise refusals.invalid(f"is named .{named} but its content is something else")
    if named is None:
        start = content[:_PDF_WITHIN].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return "html" if start.startswith((b"<!doctype html", b"<html")) else "text"
    return named


def by_name(name: str) -> Format | None:
    """Return what the name promises, None where it promises nothing."""
    path = PurePosixPath(name.lower())
    return "code" if path.name in _NAMED else _EXTENSIONS.get(path.suffix.removeprefix("."))


def _by_content(content: bytes, named: Format | None) -> Format | None:
    if content.startswith(_ZIP):
        if b"word/document.xml" in content:
            return "docx"
        if named == "docx":
            raise refusals.invalid("is named .docx but is another kind of zip archive")
        raise refusals.unsupported("is a zip archive")
    if content.startswith(_OLE):
        if b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e" in content:
            raise refusals.protected()
        raise refusals.unsupported("is an old Office document (.doc, .xls, .ppt)")
    for magic, reason in _BINARY.items():
        if content.startswith(magic) and _is_binary(content, magic):
            raise refusals.unsupported(reason)
    head = content[:_PDF_WITHIN]
    is_pdf = content.startswith(b"%PDF-") or (named == "pdf" and b"%PDF-" in head)
    return "pdf" if is_pdf else None


def _is_binary(content: bytes, magic: bytes) -> bool:
    """Tell a real signature from a text that happens to begin with its letters."""
    return not magic.isascii() or any(byte < 9 or 13 < byte < 32 for byte in content[len(magic) : 64])  # noqa: PLR2004  (control characters)
