"""One entry for all readers: the bytes of a file in, its cleaned text, form and pages out."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from headrace.contracts.retrieval import Converted, Form
from headrace.retrieval.ingest import refusals
from headrace.retrieval.ingest.clean import clean, without_gaps
from headrace.retrieval.ingest.decode import decode
from headrace.retrieval.ingest.formats import MARKUP, Format, detect
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers import markdown, pdf, records

_FORMS: Final[Mapping[Format, Form]] = {
    "markdown": "markdown",
    "html": "markdown",
    "docx": "markdown",
    "csv": "records",
    "tsv": "records",
    "jsonl": "records",
    "json": "code",
    "code": "code",
}


def read(name: str, content: bytes, limits: Limits) -> Converted:
    """Return a file as text; InvalidRequest with the code of the reason where that cannot be."""
    if len(content) > limits.max_bytes:
        raise refusals.too_many_bytes(len(content), limits.max_bytes)
    form = detect(name, content)
    pages: tuple[int, ...] = ()
    if form == "pdf":
        text, pages = pdf.read(content, limits)
    else:
        text = _text(form, content, limits)
    if not text.strip():
        raise refusals.empty()
    if len(text) > limits.max_chars:
        raise refusals.too_large("has text of", f"{len(text):,} characters", f"{limits.max_chars:,}")
    digest = hashlib.sha256(content).hexdigest()
    return Converted(name=name, sha256=digest, text=text, form=_FORMS.get(form, "text"), pages=pages)


def _text(form: Format, content: bytes, limits: Limits) -> str:
    if form in MARKUP:
        return without_gaps(clean(_markup(form, content, limits)))
    return _BY_TEXT.get(form, _as_it_is)(clean(decode(content)))


def _markup(form: Format, content: bytes, limits: Limits) -> str:
    from headrace.retrieval.ingest.readers import docx, html  # noqa: PLC0415  (half a second that other formats save)

    if form == "docx":
        return docx.read(content, limits)
    return html.read(decode(content, declared=html.declared_encoding(content)))


def _as_it_is(text: str) -> str:
    return text


_BY_TEXT: Final[Mapping[Format, Callable[[str], str]]] = {
    "markdown": markdown.read,
    "csv": records.read_table,
    "tsv": records.read_tabs,
    "json": records.read_json,
    "jsonl": records.read_lines,
}
