import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.decode import decode

FRENCH = "Le café crème brûlée et déjà vu, où êtes-vous? Garçon, l'addition s'il vous plaît."


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1))
def test_utf_8_comes_back_as_it_was(text: str) -> None:
    assert decode(text.encode()) == text.removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_other_encodings_are_found(encoding: str) -> None:
    assert decode(FRENCH.encode(encoding)) == FRENCH


def test_a_short_latin_text_is_not_taken_for_chinese() -> None:
    assert decode("Año nuevo, vida nueva".encode("latin-1")) == "Año nuevo, vida nueva"


def test_cyrillic_is_told_by_its_letters() -> None:
    text = "Съешь же ещё этих мягких французских булок, да выпей чаю"
    assert decode(text.encode("cp1251")) == text


def test_what_the_document_declares_is_believed_if_it_fits() -> None:
    assert decode("日本語".encode("euc-jp"), declared="euc-jp") == "日本語"
    assert decode(FRENCH.encode("latin-1"), declared="no-such-encoding") == FRENCH


@pytest.mark.parametrize("content", [b"text\x00text", bytes(range(256)) * 4, b"a\x01\x02\x03" * 50])
def test_binary_content_is_refused_with_its_reason(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="is binary") as caught:
        decode(content)
    assert caught.value.code == "unsupported_file"


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert "\ufffd" in decode(b"\xff\xfea\x00\x00\xd8b\x00")
