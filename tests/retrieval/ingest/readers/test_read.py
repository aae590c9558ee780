import hashlib

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers.read import read
from tests.support.office import docx, paragraph, pdf


def test_the_hash_is_of_the_bytes_and_the_text_is_clean() -> None:
    found = read("a.txt", b"a\r\n\xe2\x80\x8bb", Limits())
    assert found.text == "a\nb"
    assert found.sha256 == hashlib.sha256(b"a\r\n\xe2\x80\x8bb").hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.html", b"<p>x", "markdown"),
        ("a.docx", docx(paragraph("x")), "markdown"),
        ("a.pdf", pdf(["x"]), "text"),
        ("a.csv", b"a,b\nc,d", "records"),
        ("a.tsv", b"a\tb\nc\td", "records"),
        ("a.json", b"[]", "code"),
        ("a.jsonl", b"[]", "records"),
        ("a.md", b"x", "markdown"),
        ("a.rs", b"x", "code"),
    ],
)
def test_the_form_tells_how_to_cut(name: str, content: bytes, form: str) -> None:
    assert read(name, content, Limits()).form == form


@pytest.mark.parametrize(
    ("content", "limits", "code"),
    [
        (b"abc", Limits(max_bytes=2), "file_too_large"),
        (b"abc", Limits(max_chars=2), "file_too_large"),
        ("\u200b\ufeff".encode(), Limits(), "empty_file"),
    ],
)
def test_bounds_hold(content: bytes, limits: Limits, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read("a.txt", content, limits)
    assert caught.value.code == code
