import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers.pdf import read
from tests.support.office import pdf


def test_pages_are_told_apart() -> None:
    text, pages = read(pdf(["first page\nsecond line", "next (page)"]), Limits())
    assert text == "first page\nsecond line\n\nnext (page)"
    assert [text[start:].split()[0] for start in pages] == ["first", "next"]


@pytest.mark.parametrize(
    ("content", "limits", "code"),
    [
        (pdf(["a", "b", "c"]), Limits(max_pages=2), "file_too_large"),
        (pdf(["abcdef", "abcdef"]), Limits(max_chars=8), "file_too_large"),
        (pdf(["a"], protected=True), Limits(), "password_protected"),
        (pdf(["a"])[:50], Limits(), "invalid_file"),
        (b"%PDF-1.7\n" + b"\xff" * 200, Limits(), "invalid_file"),
        (pdf([""]), Limits(), "empty_file"),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, limits: Limits, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(content, limits)
    assert caught.value.code == code


def test_text_outside_the_page_is_not_on_it() -> None:
    moved = pdf(["shown"]).replace(b"72 720 Td", b"-72 -20 Td")
    with pytest.raises(InvalidRequest) as caught:
        read(moved.replace(b"(shown) Tj", b"(steal) Tj"), Limits())
    assert caught.value.code == "empty_file"


def test_a_damaged_page_has_no_text_and_the_others_do() -> None:
    content = pdf(["one", "two"]).replace(b"/Type /Page /Parent 2 0 R", b"/Type /Nope /Parent 2 0 R", 1)
    text, pages = read(content, Limits())
    assert "two" in text
    assert len(pages) == 2
