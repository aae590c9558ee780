import json

from hypothesis import given
from hypothesis import strategies as st

from headrace.router.cascade.json_values import ValueScanner


def carried(text: str, *, bare: bool = True) -> str:
    scanner = ValueScanner(counts_bare_text=bare)
    return "".join(char for char in text if scanner.feed(char))


def test_keys_and_punctuation_carry_nothing() -> None:
    assert carried('{"name": "Ann", "n": [1, {"x": true}], "y": null}') == "Ann1truenull"


def test_an_escaped_quote_does_not_end_a_string() -> None:
    assert carried('{"a": "x\\"y", "b": 1}') == 'x\\"y1'


def test_a_bare_scalar_counts_only_where_it_is_the_answer() -> None:
    assert carried(" 42") == "42"
    assert carried("<tool_call>", bare=False) == ""
    assert carried('"yes"') == "yes"


def test_a_piece_counts_when_one_of_its_characters_does() -> None:
    scanner = ValueScanner(counts_bare_text=True)
    assert [scanner.feed(piece) for piece in ('{"a": "', 'b"}', "}}]]")] == [False, True, False]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_exactly_the_values_of_any_json_text_are_carried(value: object) -> None:
    def scalars(part: object) -> str:
        if isinstance(part, dict):
            return "".join(scalars(each) for each in part.values())
        if isinstance(part, list):
            return "".join(scalars(each) for each in part)
        return json.dumps(part)[1:-1] if isinstance(part, str) else json.dumps(part)

    assert carried(json.dumps(value)) == scalars(value)
