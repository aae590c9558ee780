from headrace.contracts.retrieval import Converted
from headrace.retrieval.chunk.blocks import blocks

MARKDOWN = """# Guide *one*

Intro.
Goes on.

## Setup

- a
- b

| x | y |
|---|---|
| 1 | 2 |

```sh
# no heading

run
```

Next
====

[ref]: http://example.org

End.
"""


def found(text: str, form: str = "markdown", pages: tuple[int, ...] = ()) -> list[tuple[str, str, str, int | None]]:
    converted = Converted("a", "0", text, form, pages)  # type: ignore[arg-type]
    return [
        (block.kind, text[block.start : block.end], " > ".join(block.path), block.page) for block in blocks(converted)
    ]


def test_markdown_is_headings_prose_tables_and_code_under_their_headings() -> None:
    assert found(MARKDOWN) == [
        ("heading", "# Guide *one*", "Guide *one", None),
        ("prose", "Intro.\nGoes on.", "Guide *one", None),
        ("heading", "## Setup", "Guide *one > Setup", None),
        ("prose", "- a\n- b", "Guide *one > Setup", None),
        ("lines", "| x | y |\n|---|---|\n| 1 | 2 |", "Guide *one > Setup", None),
        ("lines", "```sh\n# no heading\n\nrun\n```", "Guide *one > Setup", None),
        ("heading", "Next\n====", "Next", None),
        ("prose", "[ref]: http://example.org", "Next", None),
        ("prose", "End.", "Next", None),
    ]


def test_pages_of_text_are_told_and_not_crossed() -> None:
    text = "one\n\ntwo\n\nthree"
    assert found(text, "text", (0, 5)) == [
        ("prose", "one", "", 1),
        ("prose", "two", "", 2),
        ("prose", "three", "", 2),
    ]


def test_records_are_lines_and_code_its_top_level_parts() -> None:
    assert [text for _, text, _, _ in found("a: 1\n\nb: 2", "records")] == ["a: 1", "b: 2"]
    code = "import x\n\ndef f():\n    a\n\n    b\n\ndef g():\n    c"
    assert [text for _, text, _, _ in found(code, "code")] == [
        "import x",
        "def f():\n    a\n\n    b",
        "def g():\n    c",
    ]


def test_a_long_heading_is_cut_in_the_path_only() -> None:
    text = "# " + "word " * 100 + "\n\nx"
    blocks_found = found(text)
    assert len(blocks_found[1][2]) == 120
    assert blocks_found[0][1] == text.split("\n", maxsplit=1)[0].strip()


def test_an_empty_text_has_no_blocks() -> None:
    assert found("", "text") == []
    assert found("\n\n") == []
