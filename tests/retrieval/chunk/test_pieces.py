from headrace.contracts.retrieval import Converted
from headrace.retrieval.chunk.blocks import blocks
from headrace.retrieval.chunk.pieces import Meter, pieces
from tests.support.counting import byte_tokens, word_tokens


def cut(text: str, most: int, form: str = "markdown") -> list[list[str]]:
    meter = Meter(text, word_tokens())
    found = pieces(blocks(Converted("a", "0", text, form)), meter, most)  # type: ignore[arg-type]
    return [[text[piece.start : piece.end] for piece in group] for group in found]


def test_prose_is_cut_at_sentences_and_at_items_of_a_list() -> None:
    assert cut('One two. "Three!" Four?\n\n- a b\n- c', 50) == [
        ["One two.", '"Three!"', "Four?"],
        ["- a b", "- c"],
    ]


def test_sentences_without_blanks_between_them_are_cut_too() -> None:
    assert cut("これは文です。次の文です。", 50) == [["これは文です。", "次の文です。"]]


def test_code_stays_whole_where_it_fits_and_is_cut_between_lines_where_not() -> None:
    code = "```\na. b. c.\nd e\n```"
    assert cut(code, 50) == [[code]]
    assert cut(code, 8) == [["```", "a. b. c.", "d e", "```"]]


def test_a_sentence_over_the_budget_is_cut_by_meaning() -> None:
    (parts,) = cut("one two three four, five six seven eight nine ten", 5, "text")
    assert all(len(part.split()) <= 5 for part in parts)
    assert " ".join(parts).split() == ["one", "two", "three", "four,", "five", "six", "seven", "eight", "nine", "ten"]


def test_one_word_without_end_costs_by_its_characters() -> None:
    (parts,) = cut("x" * 1000, 16, "text")
    assert max(map(len, parts)) == 160
    assert "".join(parts) == "x" * 1000


def test_very_long_lines_are_cut_in_slabs() -> None:
    text = "word " * 30_000 + "y" * 120_000
    spans = list(Meter(text, byte_tokens()).fitted(Meter(text, byte_tokens()).measure([(0, len(text))]), 200))
    assert all(span.tokens <= 200 for span in spans)
    assert "".join(text[span.start : span.end] for span in spans) == text.replace(" ", "") or len(spans) > 1000
