import pytest

from headrace.contracts.policy import AllOf, AnyOf, Comparison, Condition, Not
from headrace.gateway.settings.conditions import parse_condition
from headrace.gateway.settings.problems import Keys


def read(value: object) -> tuple[Condition | None, list[tuple[Keys, str]]]:
    told: list[tuple[Keys, str]] = []

    def report(path: Keys, what: str, cure: str, *, at_key: bool = False) -> None:
        assert cure
        assert isinstance(at_key, bool)
        told.append((path, what))

    return parse_condition(value, ("when",), report), told


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        ({"difficulty": {"gt": 0.5}}, Comparison("difficulty", "gt", 0.5)),
        ({"domain": {"in": ["code", "maths"]}}, Comparison("domain", "in", ("code", "maths"))),
        ({"tools": {"present": True}}, Comparison("tools", "present", value=True)),
        ({"header": {"X-Team": {"eq": "a"}}}, Comparison("header", "eq", "a", "x-team")),
        ({"metadata": {"Team": {"present": False}}}, Comparison("metadata", "present", value=False, name="Team")),
        ({"retrieval_support": {"gte": 0.6}}, Comparison("retrieval_support", "gte", 0.6)),
        ({"not": {"json": {"eq": True}}}, Not(Comparison("json", "eq", value=True))),
        ({"any": [{"turns": {"gte": 4}}]}, AnyOf((Comparison("turns", "gte", 4),))),
        (
            {"difficulty": {"gt": 0.2, "lte": 0.5}},
            AllOf((Comparison("difficulty", "gt", 0.2), Comparison("difficulty", "lte", 0.5))),
        ),
    ],
)
def test_conditions_are_read(value: object, condition: Condition) -> None:
    assert read(value) == (condition, [])


@pytest.mark.parametrize(
    ("value", "path", "what"),
    [
        (7, ("when",), "mapping"),
        ({}, ("when",), "mapping"),
        ({"tools": {"present": True}, "json": {"eq": True}}, ("when",), "one condition is wanted"),
        ({"all": []}, ("when", "all"), "list of 1 to 64"),
        ({"all": {"json": {"eq": True}}}, ("when", "all"), "list of 1 to 64"),
        ({"not": [1]}, ("when", "not"), "mapping"),
        ({"hardness": {"gt": 1}}, ("when", "hardness"), "unknown signal"),
        ({"difficulty": 0.5}, ("when", "difficulty"), "operator and a value"),
        ({"difficulty": {"gt": "0.5"}}, ("when", "difficulty", "gt"), "compared with a number"),
        ({"difficulty": {"gt": True}}, ("when", "difficulty", "gt"), "compared with a number"),
        ({"difficulty": {"gt": 1.5}}, ("when", "difficulty", "gt"), "0..1"),
        ({"retrieval_support": {"gt": -1}}, ("when", "retrieval_support", "gt"), "0..1"),
        ({"turns": {"gt": -1}}, ("when", "turns", "gt"), "whole things"),
        ({"domain": {"gt": 1}}, ("when", "domain", "gt"), "has no operator"),
        ({"domain": {"eq": 1}}, ("when", "domain", "eq"), "wants text"),
        ({"domain": {"in": "code"}}, ("when", "domain", "in"), "list of 1 to 64"),
        ({"domain": {"in": ["code", 1]}}, ("when", "domain", "in", 1), "wants text"),
        ({"tools": {"eq": "yes"}}, ("when", "tools", "eq"), "true or false"),
        ({"header": {"eq": "a"}}, ("when", "header", "eq"), "operator and a value"),
        ({"metadata": "team"}, ("when", "metadata"), "metadata name"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_path(value: object, path: Keys, what: str) -> None:
    condition, told = read(value)
    assert condition is None
    assert len(told) == 1
    assert told[0][0] == path
    assert what in told[0][1]


def test_every_broken_part_is_told() -> None:
    condition, told = read({"any": [{"x": 1}, {"json": {"eq": True}}, {"turns": {"gt": "a"}}]})
    assert condition is None
    assert [path for path, _ in told] == [("when", "any", 0, "x"), ("when", "any", 2, "turns", "gt")]
