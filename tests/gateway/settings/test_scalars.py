from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.gateway.settings.scalars import MAX_INT, BadScalar, interpolate, refuse_surrogates, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("0.60", 0.6),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("010", 10),
        ("1_000", "1_000"),
        ("2027-01-01", "2027-01-01"),
        ("qwen2.5", "qwen2.5"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["9" * 20, "9" * 5000, str(MAX_INT + 1), ".inf", "-.INF", ".nan", "1e999"])
def test_numbers_without_bound_are_refused(text: str) -> None:
    with pytest.raises(BadScalar):
        resolve(text)


@given(st.text(max_size=40))
def test_every_text_resolves_or_is_a_bad_scalar(text: str) -> None:
    with suppress(BadScalar):
        assert isinstance(resolve(text), str | int | float | None)


def test_variables_come_from_the_environment() -> None:
    found = interpolate("http://${HOST}:${PORT:-80}/v1", {"HOST": "a"})
    assert found.text == "http://a:80/v1"
    assert found.from_env


def test_a_default_alone_is_no_secret() -> None:
    assert not interpolate("${PORT:-80}", {}).from_env


def test_an_empty_variable_takes_the_default_and_stays_empty_without_one() -> None:
    assert interpolate("${X:-y}", {"X": ""}).text == "y"
    assert interpolate("${X}", {"X": ""}).text == ""


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(BadScalar, match="environment variable KEY is not set"):
        interpolate("${KEY}", {})


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A B}", "${A-b}"])
def test_what_is_no_variable_name_is_refused(text: str) -> None:
    with pytest.raises(BadScalar):
        interpolate(text, {"A": "x"})


def test_a_doubled_dollar_is_literal_and_values_are_not_read_again() -> None:
    assert interpolate("$${A}", {"A": "x"}).text == "${A}"
    assert interpolate("${A}", {"A": "${B}", "B": "x"}).text == "${B}"


def test_half_a_character_is_refused() -> None:
    refuse_surrogates("näive 🙂")
    with pytest.raises(BadScalar):
        refuse_surrogates("a\ud800")
