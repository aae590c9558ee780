import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.readers.pdf import read
from tests.support.office import drawn_pdf

SEEN = "BT /F1 12 Tf 72 720 Td (seen) Tj ET "
WHITE = "1 1 1 rg "
PICTURE = "q 400 0 0 200 50 550 cm BI /W 1 /H 1 /BPC 8 /CS /G ID a EI Q "


def text(drawn: str) -> str:
    return read(drawn_pdf([SEEN + drawn]), Limits())[0]


def other(before: str, *, size: str = "12", y: int = 600) -> str:
    return f"{before}BT /F1 {size} Tf {y and 72} {y} Td (other) Tj ET "


@pytest.mark.parametrize(
    "drawn",
    [
        other(WHITE),
        other("0.99 g "),
        other("/Clear gs "),
        other("3 Tr "),
        other("7 Tr "),
        other("", size="0.5"),
        "q 0.01 0 0 0.01 0 0 cm BT /F1 12 Tf 7200 60000 Td (other) Tj ET Q",
        "1 1 1 rg 60 580 200 60 re f " + other(WHITE),
        "0 0 0 rg 60 100 200 60 re f " + other(WHITE),
        PICTURE + other("3 Tr ", y=300),
    ],
    ids=[
        "white",
        "nearly white",
        "transparent",
        "not painted",
        "clip",
        "tiny",
        "shrunk",
        "on white",
        "beside",
        "no scan",
    ],
)
def test_what_nobody_sees_is_not_read(drawn: str) -> None:
    assert text(drawn) == "seen"


@pytest.mark.parametrize(
    "drawn",
    [
        other(""),
        other("0.9 g "),
        "0 0 0.5 rg 60 580 200 60 re f " + other(WHITE),
        PICTURE + other(WHITE),
        PICTURE + other("3 Tr "),
        other("1 Tr 0 0 0 RG " + WHITE),
        "BT /F1 1 Tf 12 0 0 12 72 600 Tm (other) Tj ET",
    ],
    ids=["black", "grey", "white on blue", "on a picture", "words of a scan", "outlined", "scaled by its matrix"],
)
def test_what_is_seen_or_stands_under_a_picture_is_read(drawn: str) -> None:
    assert text(drawn).split() == ["seen", "other"]


def test_a_page_of_hidden_words_alone_is_empty() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(drawn_pdf([other(WHITE)]), Limits())
    assert caught.value.code == "empty_file"
