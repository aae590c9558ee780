"""HTML to Markdown by markitdown, after everything that a browser would not show is dropped."""

import re
from typing import Final

import lxml.html  # type: ignore[import-untyped]  # it ships no stubs
from lxml import etree
from markitdown.converters import HtmlConverter

from headrace.retrieval.ingest import refusals

_DROPPED: Final = (
    "script",
    "style",
    "template",
    "noscript",
    "iframe",
    "object",
    "embed",
    "svg",
    "canvas",
    "head",
    "select",
)
_INVISIBLE: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$)"
    r"|font-size\s*:\s*0(?:\.0+)?\s*(?:[a-z%]|;|$)|(?:left|top|text-indent)\s*:\s*-\d{3,}",
    re.IGNORECASE,
)
_DECLARED: Final = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE
)
_DECLARED_WITHIN: Final = 2048
_OVER_LIMIT: Final = "ERR_RESOURCE_LIMIT"
_DATA_IMAGE: Final = re.compile(r"!\[([^\]]*)\]\(data:[^)]*\)")


def declared_encoding(content: bytes) -> str | None:
    """Return the encoding that the document names itself."""
    found = _DECLARED.search(content[:_DECLARED_WITHIN])
    return found.group(1).decode("ascii") if found else None


def read(text: str) -> str:
    """Return the visible part of a page as Markdown, its title first where no heading says it."""
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = lxml.html.document_fromstring(text.encode("utf-8", errors="replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as exc:
        raise refusals.invalid("is HTML that cannot be parsed") from exc
    if any(entry.type_name == _OVER_LIMIT for entry in parser.error_log):
        raise refusals.too_large("nests its markup", "deeper", "a parser follows")
    title = " ".join((root.findtext(".//title") or "").split())
    for element in list(root.iter(*_DROPPED)):
        _drop(element)
    for element in [one for one in root.iter(etree.Element) if _is_hidden(one)]:
        _drop(element)
    body = to_markdown(lxml.html.tostring(root, encoding="unicode"))
    return body if not title or title in body[: 4 * len(title) + 80] else f"# {title}\n\n{body}"


def to_markdown(markup: str) -> str:
    """Return Markdown of clean HTML."""
    return without_data_images(HtmlConverter().convert_string(markup).markdown)


def without_data_images(text: str) -> str:
    """Return Markdown with only the captions of pictures that carry their own bytes."""
    return _DATA_IMAGE.sub(r"\1", text)


def _is_hidden(element: etree._Element) -> bool:
    return (
        "hidden" in element.attrib
        or (element.tag == "input" and element.get("type", "").lower() == "hidden")
        or _INVISIBLE.search(element.get("style", "")) is not None
    )


def _drop(element: etree._Element) -> None:
    """Take an element out with all that is in it; the text after it stays."""
    if element.getparent() is not None:
        element.drop_tree()
