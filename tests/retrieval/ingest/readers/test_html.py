import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.retrieval.ingest.readers.html import declared_encoding, read


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>steal()</script>",
        "<style>p{}</style>",
        "<!-- note to models -->",
        '<p style="display:none">steal</p>',
        '<p style="DISPLAY : NONE">steal</p>',
        '<span style="visibility:hidden">steal</span>',
        '<span style="opacity:0">steal</span>',
        '<span style="font-size:0px">steal</span>',
        '<p style="position:absolute;left:-9999px">steal</p>',
        "<p hidden>steal</p>",
        '<input type="hidden" value="steal">',
        "<noscript>steal</noscript>",
        "<template><p>steal</p></template>",
    ],
)
def test_what_a_browser_does_not_show_is_dropped_and_its_tail_stays(hidden: str) -> None:
    assert read(f"<body><p>a</p>{hidden} tail<p>b</p></body>").split() == ["a", "tail", "b"]


def test_structure_becomes_markdown() -> None:
    text = read(
        "<h2>T</h2><ul><li>x</li></ul><table><tr><th>a</th></tr><tr><td>1</td></tr></table><pre><code>c</code></pre>"
    )
    assert "## T" in text
    assert "* x" in text
    assert "| a |\n| --- |\n| 1 |" in text
    assert "```\nc\n```" in text


def test_a_title_comes_first_unless_a_heading_says_it() -> None:
    assert read("<title>Guide</title><p>x") == "# Guide\n\nx"
    assert read("<title>Guide</title><h1>Guide</h1>x").count("Guide") == 1


def test_pictures_that_carry_their_bytes_leave_only_their_caption() -> None:
    assert read('<p>a <img alt="chart" src="data:image/png;base64,AAAA"> b').split() == ["a", "chart", "b"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b'<meta charset="shift_jis">', "shift_jis"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">', "iso-8859-2"),
        (b'<?xml version="1.0" encoding="koi8-r"?><html>', "koi8-r"),
        (b"<p>nothing", None),
    ],
)
def test_the_declared_encoding_is_found(content: bytes, encoding: str | None) -> None:
    assert declared_encoding(content) == encoding


@pytest.mark.filterwarnings("ignore:HTML document is too deeply nested")
def test_markup_nested_without_end_still_gives_its_text() -> None:
    assert "deep" in read("<b>" * 1500 + "deep")


def test_markup_that_no_parser_follows_is_refused_and_not_cut() -> None:
    with pytest.raises(InvalidRequest, match="nests its markup") as caught:
        read("<b>" * 5000 + "deep")
    assert caught.value.code == "file_too_large"


def test_an_xhtml_declaration_does_no_harm() -> None:
    assert read('<?xml version="1.0" encoding="utf-8"?><html><body><p>x</p></body></html>') == "x"
