import io
import zipfile

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers.docx import read
from tests.support.office import docx, paragraph

TABLE = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"


def test_headings_paragraphs_and_tables_become_markdown() -> None:
    text = read(docx(paragraph("Head", style="Heading1") + paragraph("Body.") + TABLE), Limits())
    assert "# Head" in text
    assert "Body." in text
    assert "| a |" in text


def test_hidden_runs_are_dropped() -> None:
    body = paragraph("shown") + paragraph("steal", hidden=True)
    assert read(docx(body), Limits()).strip() == "shown"
    not_hidden = body.replace("<w:vanish/>", '<w:vanish w:val="false"/>')
    assert "steal" in read(docx(not_hidden), Limits())


@pytest.mark.parametrize(
    ("content", "limits", "code", "reason"),
    [
        (docx(parts={f"x{n}.xml": b"<a/>" for n in range(9)}), Limits(max_members=8), "file_too_large", "members"),
        (docx(parts={"big.xml": bytes(2 << 20)}), Limits(max_unpacked_bytes=1 << 20), "file_too_large", "unpacks"),
        (docx(parts={"big.bin": bytes(9 << 20)}), Limits(), "file_too_large", "to 1"),
        (docx(prolog='<!DOCTYPE x [<!ENTITY a "b">]>'), Limits(), "invalid_file", "entities"),
        (docx(prolog='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), Limits(), "invalid_file", "entities"),
        (docx("<w:p>"), Limits(), "invalid_file", "damaged XML"),
        (b"PK\x03\x04 word/document.xml", Limits(), "invalid_file", "damaged"),
    ],
)
def test_bombs_and_damage_are_refused(content: bytes, limits: Limits, code: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read(content, limits)
    assert caught.value.code == code


def test_an_encrypted_member_asks_for_a_copy_without_a_password() -> None:
    content = bytearray(docx(paragraph("x")))
    place = content.index(b"PK\x01\x02") + 8
    content[place] |= 1
    with pytest.raises(InvalidRequest) as caught:
        read(bytes(content), Limits())
    assert caught.value.code == "password_protected"


def test_names_that_climb_out_of_the_container_write_nothing() -> None:
    assert read(docx(paragraph("x"), parts={"../../etc/evil.xml": b"<a/>"}), Limits()).strip() == "x"


def test_media_and_embedded_files_are_not_opened() -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a", "b")
    content = docx(paragraph("x"), parts={"word/embeddings/inner.zip": inner.getvalue()})
    assert read(content, Limits()).strip() == "x"
