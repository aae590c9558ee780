import pytest

from headrace.retrieval.library.names import MAX_NAME_BYTES, UNNAMED, clean_name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\report.docx", "report.docx"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\u2215b\uff0fc\u2044d.txt", "d.txt"),
        ("a\x00b\r\nc.txt", "abc.txt"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("zero\u200bwidth.txt", "zerowidth.txt"),
        ("  two   blanks .txt ", "two blanks .txt"),
        ("e\u0301t\u00e9.txt", "\u00e9t\u00e9.txt"),
        ("\u30ec\u30dd\u30fc\u30c8.md", "\u30ec\u30dd\u30fc\u30c8.md"),
        (".bashrc", ".bashrc"),
        ("\ud800.txt", ".txt"),
    ],
)
def test_a_name_keeps_its_last_part_without_what_nobody_sees(given: str, kept: str) -> None:
    assert clean_name(given) == kept


@pytest.mark.parametrize("given", ["", ".", "..", "/", "a/", "\u200b", ". . ", "../.."])
def test_where_nothing_is_left_there_is_still_a_name(given: str) -> None:
    assert clean_name(given) == UNNAMED


def test_a_long_name_is_cut_and_keeps_its_ending() -> None:
    name = clean_name("\u00e9" * 500 + ".pdf")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.endswith("\u00e9.pdf")
    assert len(clean_name("a" * 10_000).encode()) == MAX_NAME_BYTES
    assert len(clean_name("a." + "b" * 10_000).encode()) == MAX_NAME_BYTES
