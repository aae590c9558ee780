"""DOCX to Markdown by markitdown, after the container is checked for bombs and hidden text is taken out."""

import io
import zipfile
import zlib
from typing import Final

from lxml import etree  # type: ignore[import-untyped]  # it ships no stubs
from markitdown import StreamInfo
from markitdown.converters import DocxConverter

from headrace.retrieval.ingest import refusals
from headrace.retrieval.ingest.limits import MIB, Limits
from headrace.retrieval.ingest.readers.html import without_data_images

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SMALL: Final = MIB  # a member under this cannot be a bomb, whatever its ratio
_OFF: Final = {"0", "false", "off"}
_ENCRYPTED: Final = 0x1


def read(content: bytes, limits: Limits) -> str:
    """Return a document's text as Markdown; InvalidRequest for a bomb, a damaged or an encrypted one."""
    try:
        checked = _checked(content, limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as exc:
        raise refusals.invalid("is a damaged DOCX container") from exc
    result = DocxConverter().convert(checked, StreamInfo(extension=".docx"))  # type: ignore[no-untyped-call]
    return without_data_images(result.markdown)


def _checked(content: bytes, limits: Limits) -> io.BytesIO:
    """Return the container again with only the parts that carry text, each checked."""
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(kept, "w") as target:
        members = source.infolist()
        _refuse_bombs(members, limits)
        for member in members:
            if member.filename.endswith((".xml", ".rels")) and not member.is_dir():
                target.writestr(member.filename, _plain(member.filename, source.read(member)))
    kept.seek(0)
    return kept


def _refuse_bombs(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > limits.max_members:
        raise refusals.too_large("holds", f"{len(members):,} members", f"{limits.max_members:,}")
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.max_unpacked_bytes:
        raise refusals.too_large(
            "unpacks to", f"{unpacked / MIB:,.1f} MiB", f"{limits.max_unpacked_bytes / MIB:,.1f} MiB"
        )
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise refusals.protected()
        ratio = member.file_size / max(1, member.compress_size)
        if member.file_size > _SMALL and ratio > limits.max_ratio:
            raise refusals.too_large("has a part packed", f"{ratio:,.0f} to 1", f"{limits.max_ratio} to 1")


def _plain(name: str, part: bytes) -> bytes:
    """Return an XML part without hidden runs; one that declares entities is refused unread."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(part, parser)
    except etree.XMLSyntaxError as exc:
        raise refusals.invalid(f"holds damaged XML in {name!r}") from exc
    tree = root.getroottree()
    if tree.docinfo.internalDTD is not None:
        raise refusals.invalid(f"declares XML entities in {name!r}, which no word processor does")
    hidden = [run for run in root.iter(f"{_W}r") if _is_hidden(run)]
    for run in hidden:
        parent = run.getparent()
        if parent is not None:
            parent.remove(run)
    return bytes(etree.tostring(tree, encoding="utf-8", xml_declaration=True)) if hidden else part


def _is_hidden(run: etree._Element) -> bool:
    mark = run.find(f"{_W}rPr/{_W}vanish")
    return mark is not None and mark.get(f"{_W}val", "1").lower() not in _OFF
