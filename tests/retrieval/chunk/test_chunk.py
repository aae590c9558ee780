from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Chunk, Converted
from headrace.retrieval.chunk.chunk import chunk
from tests.support.counting import byte_tokens, word_tokens

WORDS = word_tokens()
BYTES = byte_tokens()
FORMS = ("text", "markdown", "records", "code")
Form = Literal["text", "markdown", "records", "code"]

LINES = st.sampled_from(
    ["# Head", "## Sub *x*", "Setext", "===", "---", "```", "~~~", "| a | b |", "|---|---|", "- item", "1. item",
     "> quote", "", " ", "    code", "A sentence. Another one! And more?", "日本語の文。次の文。", "word " * 60,
     "x" * 700, "\t", "<div>", "[ref]: http://x", "🎉 émoji ß"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=400), st.lists(LINES, max_size=30).map("\n".join))


def made(text: str, form: Form = "text", pages: tuple[int, ...] = ()) -> Converted:
    return Converted("a", "0", text, form, pages)


def words(text: str, form: Form = "markdown", max_tokens: int = 16, overlap: int = 0) -> tuple[Chunk, ...]:
    return chunk(made(text, form), max_tokens=max_tokens, overlap=overlap, tokenizer=WORDS)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(FORMS), st.sampled_from([16, 24, 100]), st.sampled_from([0, 5, 8]), st.booleans())
def test_offsets_are_exact_all_is_covered_and_nothing_is_over_the_budget(
    text: str, form: Form, most: int, overlap: int, in_bytes: bool
) -> None:
    tokenizer = BYTES if in_bytes else WORDS
    chunks = chunk(made(text, form), max_tokens=most, overlap=overlap, tokenizer=tokenizer)
    covered: set[int] = set()
    for one in chunks:
        assert text[one.start : one.end] == one.text
        assert one.text.strip()
        assert one.tokens == tokenizer.count([one.text])[0] <= most
        covered.update(range(one.start, one.end))
    assert all(character.isspace() for place, character in enumerate(text) if place not in covered)
    assert [one.start for one in chunks] == sorted(one.start for one in chunks)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab. \n", max_size=80), min_size=1, max_size=5))
def test_no_chunk_crosses_a_page(parts: list[str]) -> None:
    starts = [sum(map(len, parts[:place])) for place in range(len(parts))]
    text = "".join(parts)
    for one in chunk(made(text, "text", tuple(starts)), max_tokens=16, overlap=4, tokenizer=WORDS):
        assert one.page is not None
        assert starts[one.page - 1] <= one.start
        assert one.page == len(starts) or one.end <= starts[one.page]


def test_a_section_is_a_chunk_and_knows_its_headings() -> None:
    text = "# A\n\none two three four five\n\n## B\n\nsix seven eight nine ten\n\n# C\n\neleven twelve thirteen"
    assert [(one.heading, one.text.split("\n")[0]) for one in words(text)] == [
        ("A", "# A"),
        ("A > B", "## B"),
        ("C", "# C"),
    ]


def test_small_sections_share_a_chunk_under_what_they_have_in_common() -> None:
    chunks = words("# A\n\nx\n\n## B\n\ny\n\n## C\n\nz", max_tokens=100)
    assert len(chunks) == 1
    assert chunks[0].heading == "A"


def test_a_heading_stays_with_what_follows_it() -> None:
    text = "one two three four five six seven eight nine ten\n\n# H\n\nalpha beta gamma delta epsilon zeta eta"
    assert [one.text.split("\n")[0] for one in words(text, max_tokens=16)] == [
        "one two three four five six seven eight nine ten",
        "# H",
    ]


def test_tables_and_code_stay_whole_where_they_fit() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    text = "one two three four five six seven eight nine\n\n" + table + "\n\nlast"
    assert any(table in one.text for one in words(text, max_tokens=24))


def test_overlap_repeats_the_last_sentences() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten eleven twelve. Thirteen fourteen."
    plain = words(text, "text", 16)
    repeated = words(text, "text", 16, 8)
    assert plain[1].start > plain[0].end
    assert repeated[1].start < repeated[0].end
    assert repeated[1].text.startswith("Seven eight nine.")


def test_a_last_sentence_alone_takes_more_of_what_is_before_it() -> None:
    text = "One two three. Four five six seven eight. Nine ten eleven twelve. Z."
    assert [one.text for one in words(text, "text", 16, 1)] == [
        "One two three. Four five six seven eight. Nine ten eleven twelve.",
        "Nine ten eleven twelve. Z.",
    ]
    assert words(text, "text", 16, 0)[-1].text == "Z."


def test_records_are_not_cut_without_need() -> None:
    text = "\n".join(f"name: n{number}; value: v{number}" for number in range(10))
    for one in words(text, "records", 30):
        assert one.text.startswith("name:")
        assert one.text.split("\n")[-1].count("value:") == 1


def test_sizes_over_the_window_are_brought_down_and_nonsense_is_refused() -> None:
    text = "word " * 900
    assert max(one.tokens for one in words(text, "text", 800)) <= 203
    with pytest.raises(InvalidRequest):
        words(text, "text", 5)


def test_nothing_comes_of_nothing() -> None:
    assert words("  \n\n ") == ()
