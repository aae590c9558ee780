"""PDF to text by pypdfium2: what is seen on the pages, in their order, with where each page begins."""

from typing import Final

import pypdfium2  # type: ignore[import-untyped]  # it ships no types
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY  # type: ignore[import-untyped]

from headrace.retrieval.ingest import refusals
from headrace.retrieval.ingest.clean import clean, without_gaps
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers.unseen import remove_unseen

_BREAK: Final = "\n\n"
_HYPHENS: Final = ("\ufffe\r\n", "\ufffe\n", "\ufffe", "\x02\r\n", "\x02")  # a word that goes on in the next line


def read(content: bytes, limits: Limits) -> tuple[str, tuple[int, ...]]:
    """Return the text and the offset of each page in it; what lies outside a page's bounds is not on it."""
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as exc:
        if exc.err_code in {FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY}:
            raise refusals.protected() from exc
        raise refusals.invalid("is a damaged PDF") from exc
    try:
        return _pages(document, limits)
    finally:
        document.close()


def _pages(document: pypdfium2.PdfDocument, limits: Limits) -> tuple[str, tuple[int, ...]]:
    count = len(document)
    if count > limits.max_pages:
        raise refusals.too_large("has", f"{count:,} pages", f"{limits.max_pages:,}")
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for number in range(count):
        text = _page(document, number)
        starts.append(length)
        parts.append(text + _BREAK)
        length += len(parts[-1])
        if length > limits.max_chars:
            raise refusals.too_large("has text of", f"{length:,} characters", f"{limits.max_chars:,}")
    whole = "".join(parts).removesuffix(_BREAK)
    if not whole.strip():
        raise refusals.empty(f"has {count} pages without text: pictures of pages need OCR first")
    return whole, tuple(starts)


def _page(document: pypdfium2.PdfDocument, number: int) -> str:
    """Return one page's text; a page that is damaged has none."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return ""
    try:
        remove_unseen(page)
        text = page.get_textpage().get_text_bounded()
    except pypdfium2.PdfiumError:
        return ""
    finally:
        page.close()
    for hyphen in _HYPHENS:
        text = text.replace(hyphen, "")
    return without_gaps(clean(text))
