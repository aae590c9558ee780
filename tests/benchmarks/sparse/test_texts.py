import pytest

from benchmarks.sparse.texts import CITIES, code, hidden, runs_of


class Letters:
    """A tokenizer: a letter a token."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]


def text(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


def test_runs_are_cut_to_length_and_follow_each_other() -> None:
    runs = runs_of(iter(["abc", "defg"]), Letters(), length=4, count=2)
    assert list(map(text, runs)) == ["abc\n", "\ndef"]
    with pytest.raises(ValueError, match="the texts hold 0 runs of 40 tokens; wanted 1"):
        runs_of(iter(["abc"]), Letters(), length=40, count=1)


def test_each_needle_is_in_the_context_once_and_its_answer_is_where_it_says() -> None:
    filler = [ord(".")] * 1000
    tokens, needles = hidden(filler, Letters(), spacing=20)
    assert len(needles) == len(CITIES)
    assert tokens.count(ord(".")) == 1000 + len(CITIES)
    for city, needle in zip(CITIES, needles, strict=True):
        said = text(tokens[needle.answer.start : needle.answer.stop])
        assert text(tokens).count(f"secret number of {city} is{said}") == 2
        assert text(tokens[: needle.answer.start]).endswith(f"of {city} is")
    assert [needle.depth for needle in needles] == sorted(needle.depth for needle in needles)


def test_the_code_is_long() -> None:
    assert sum(map(len, code())) > 300_000
