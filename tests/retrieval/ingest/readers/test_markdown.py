import pytest

from headrace.retrieval.ingest.readers.markdown import read


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a <!-- hidden\nover lines --> b", "a  b"),
        ("a <!-- never closed", "a "),
        ("a<script>x()</script>b", "ab"),
        ("a<STYLE type=x>p{}</STYLE >b", "ab"),
        ('a<span style="color:red; display: none">no</span>b', "ab"),
        ("a<div hidden>no</div>b", "ab"),
        ("a < b and c > d", "a < b and c > d"),
        ("<div>shown</div>", "<div>shown</div>"),
        ("no markup", "no markup"),
    ],
)
def test_what_a_page_would_not_show_goes(text: str, kept: str) -> None:
    assert read(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "```html\n<!-- shown -->\n```",
        "~~~\n<script>shown</script>\n~~~\n",
        "use `<!-- shown -->` so",
        "```\n<!-- the fence never ends",
    ],
)
def test_code_keeps_everything(text: str) -> None:
    assert read(text) == text


def test_what_follows_code_is_read_again() -> None:
    assert read("`<!--a-->` <!--b--> c `<!--d-->`") == "`<!--a-->`  c `<!--d-->`"
