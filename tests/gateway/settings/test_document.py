from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.gateway.settings.document import MAX_BYTES, MAX_DEPTH, Document, parse, read_text
from headrace.gateway.settings.problems import Place, Problem

FILE = Path("a.yaml")


def parsed(text: str, environ: dict[str, str] | None = None) -> Document:
    return parse(text, FILE, environ or {})


def only_problem(text: str) -> Problem:
    (problem,) = parsed(text).problems
    return problem


def test_values_come_with_the_place_of_key_and_value() -> None:
    document = parsed("a: 1\nb:\n  - {c: x}\n  - 2.5\n")
    assert document.value == {"a": 1, "b": [{"c": "x"}, 2.5]}
    assert document.problems == ()
    assert document.marks.of_value(("b", 0, "c")) == Place(FILE, 3, 9)
    assert document.marks.of_key(("b", 0, "c")) == Place(FILE, 3, 6)
    assert document.marks.of_value(("b", 1)) == Place(FILE, 4, 5)


def test_quotes_keep_text_text() -> None:
    assert parsed("a: '1'\nb: \"true\"\nc: ! 7\n").value == {"a": "1", "b": "true", "c": "7"}


def test_a_duplicate_key_is_told_at_its_second_place() -> None:
    assert str(only_problem("a: 1\nb: 2\na: 3\n")) == "a.yaml:3:1: a: the key stands twice; keep one of the two"


def test_every_duplicate_and_missing_variable_is_told_together() -> None:
    assert [problem.place.line for problem in parsed("a: 1\na: ${X}\nb: ${Y}\nb: 2\n").problems] == [2, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &x [1]\nb: *x\n", "anchors"),
        ("a: !!python/object/apply:os.system ['true']\n", "tags"),
        ("a: !!binary aGk=\n", "tags"),
        ("a: !mine 1\n", "tags"),
        ("a: {<<: {b: 1}}\n", "merge keys"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("? [a, b]\n: 1\n", "mapping key must be a word"),
        ("a: [1, 2\n", "not YAML"),
        ("a:\n\t- 1\n", "not YAML"),
        ("a: \x07\n", "does not allow"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1\n", "out of range"),
        ('a: "\\UFFFFFFFF"\n', "out of range"),
        ('a: "\\ud800"\n', "surrogate"),
        ('"\\ud800": 1\n', "surrogate"),
        ("- 1\n", "top level"),
        ("", "top level"),
        ("a: " + "9" * 400 + "\n", "64 bits"),
    ],
)
def test_what_a_config_never_needs_is_refused(text: str, what: str) -> None:
    problem = only_problem(text)
    assert what in problem.what
    assert problem.place.line >= 1
    assert problem.cure


def test_a_billion_laughs_stop_at_the_first_anchor() -> None:
    bomb = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "anchors" in only_problem(bomb).what


def test_deep_nesting_stops_at_the_bound_without_a_recursion() -> None:
    assert "nested deeper" in only_problem("a: " + "[" * 100_000).what
    assert parsed("a: " + "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2)).problems == ()


def test_too_many_values_are_refused() -> None:
    assert "over 20000 values" in only_problem("a: [" + "1," * 30_000 + "]").what


def test_the_environment_can_never_add_structure() -> None:
    document = parsed('a: "${X}"\nb: ${X}\n', {"X": "[1, {evil: true}]\nc: 2"})
    assert document.value == {"a": "[1, {evil: true}]\nc: 2", "b": "[1, {evil: true}]\nc: 2"}
    assert document.from_env == {("a",), ("b",)}


def test_a_plain_variable_is_read_as_a_plain_scalar() -> None:
    assert parsed("a: ${X}\nb: '${X}'\n", {"X": "7"}).value == {"a": 7, "b": "7"}


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert isinstance(read_text(path), Problem)
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(path) == "a: 1\n"


def test_a_file_that_is_not_text_or_not_there_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    told = read_text(path)
    assert isinstance(told, Problem)
    assert told.place.line == 2
    missing = read_text(tmp_path / "none.yaml")
    assert isinstance(missing, Problem)
    assert "cannot be read" in missing.what


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_no_text_ever_raises(text: str) -> None:
    document = parsed(text)
    assert document.problems or isinstance(document.value, dict)


@given(st.text(alphabet="ab:-[]{},'\"\n #&*!|>%?@\\\t$0.", max_size=80))
def test_no_yaml_like_text_ever_raises(text: str) -> None:
    document = parsed(text)
    assert document.problems or isinstance(document.value, dict)
