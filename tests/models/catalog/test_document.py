import pytest

from headrace.contracts.errors import ConfigError
from headrace.models.catalog.document import Located, nearest


def test_a_value_knows_its_line() -> None:
    fields = Located.parse("f.yaml", "a: 1\nb: two\n").fields(required=("a", "b"))
    assert fields["a"].whole() == 1
    with pytest.raises(ConfigError, match=r"f\.yaml:2: 'two' is not a whole number"):
        fields["b"].whole()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a: [", r"f\.yaml:\d+: not YAML"),
        ("a: 1\na: 2", "stands twice"),
        ("- a", "a mapping is wanted"),
    ],
)
def test_a_document_of_another_shape_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Located.parse("f.yaml", text).fields(required=("a",))


def test_truth_numbers_and_lists_are_read() -> None:
    fields = Located.parse("f", "t: true\nn: 0.5\nl: [x, y]").fields(required=("t", "n", "l"))
    assert fields["t"].truth()
    assert str(fields["n"].number()) == "0.5"
    assert [item.text() for item in fields["l"].items()] == ["x", "y"]


@pytest.mark.parametrize("text", ["nan", "inf", "-1"])
def test_a_number_is_finite_and_not_negative(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a number"):
        Located.parse("f", f"n: {text}").fields(required=("n",))["n"].number()


def test_the_nearest_word_or_all_words_are_named() -> None:
    assert nearest("strem", ["stream", "tools"]) == "did you mean 'stream'?"
    assert nearest("zzz", ["tools", "stream"]) == "one of: stream, tools"
