import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.formats import Format, by_name, detect
from tests.support.office import docx, pdf


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.txt", b"x", "text"),
        ("a", b"x", "text"),
        ("a.MD", b"x", "markdown"),
        ("deep/er/a.py", b"x", "code"),
        ("Makefile", b"x", "code"),
        ("a.csv", b"x", "csv"),
        ("a.tsv", b"x", "tsv"),
        ("a.json", b"{}", "json"),
        ("a.ndjson", b"{}", "jsonl"),
        ("page", b"\xef\xbb\xbf <!DOCTYPE html><p>x", "html"),
        ("page.htm", b"x", "html"),
        ("wrong.txt", pdf(["x"]), "pdf"),
        ("late.pdf", b"junk\n" + pdf(["x"]), "pdf"),
        ("wrong.pdf", docx(), "docx"),
        ("bzip.txt", b"BZhello is a text", "text"),
    ],
)
def test_content_comes_before_the_name(name: str, content: bytes, found: Format) -> None:
    assert detect(name, content) == found


@pytest.mark.parametrize(
    ("name", "content", "code", "reason"),
    [
        ("a.txt", b"", "empty_file", "0 bytes"),
        ("a.pdf", b"just text", "invalid_file", "named .pdf"),
        ("a.docx", b"just text", "invalid_file", "named .docx"),
        ("a.docx", b"PK\x03\x04other", "invalid_file", "another kind of zip"),
        ("a.zip", b"PK\x03\x04other", "unsupported_file", "zip archive"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "unsupported_file", "PNG"),
        ("a.txt", b"MZ\x90\x00\x03\x00", "unsupported_file", "program"),
        ("a.txt", b"\x80\x04\x95", "unsupported_file", "pickle"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "unsupported_file", "old Office"),
    ],
)
def test_what_no_reader_takes_is_refused_with_its_reason(name: str, content: bytes, code: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        detect(name, content)
    assert caught.value.code == code


def test_an_encrypted_office_file_asks_for_a_copy_without_a_password() -> None:
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(InvalidRequest, match="password") as caught:
        detect("a.docx", content)
    assert caught.value.code == "password_protected"


def test_a_name_promises_nothing_where_its_ending_is_unknown() -> None:
    assert by_name("a.xyz") is None
