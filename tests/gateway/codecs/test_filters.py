from typing import Any

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.contracts.retrieval import Compare, Compound
from headrace.gateway.codecs.filters import MAX_DEPTH, MAX_FILTERS, read_filter, read_scalar


@pytest.mark.parametrize("op", ["eq", "ne", "gt", "gte", "lt", "lte"])
def test_a_comparison_is_read_as_it_is_written(op: str) -> None:
    assert read_filter({"type": op, "key": "year", "value": 2024}) == Compare("year", op, 2024)  # type: ignore[arg-type]


def test_a_list_of_values_is_for_in_and_nin_only() -> None:
    assert read_filter({"type": "in", "key": "team", "value": ["a", 1, True]}) == Compare("team", "in", ("a", 1, True))
    for wrong in ({"type": "nin", "key": "a", "value": "x"}, {"type": "eq", "key": "a", "value": ["x"]}):
        with pytest.raises(InvalidRequest):
            read_filter(wrong)


def test_compounds_nest() -> None:
    inner = {"type": "or", "filters": [{"type": "eq", "key": "a", "value": "x"}]}
    read = read_filter({"type": "and", "filters": [inner, {"type": "lt", "key": "b", "value": 1.5}]})
    assert read == Compound("and", (Compound("or", (Compare("a", "eq", "x"),)), Compare("b", "lt", 1.5)))


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (None, "filters"),
        ([], "filters"),
        ({}, "filters.type"),
        ({"type": "like", "key": "a", "value": "x"}, "filters.type"),
        ({"type": {}, "key": "a"}, "filters.type"),
        ({"type": "eq", "value": 1}, "filters.key"),
        ({"type": "eq", "key": "", "value": 1}, "filters.key"),
        ({"type": "eq", "key": "a" * 65, "value": 1}, "filters.key"),
        ({"type": "eq", "key": "a", "value": None}, "filters.value"),
        ({"type": "eq", "key": "a", "value": "x" * 513}, "filters.value"),
        ({"type": "eq", "key": "a", "value": 10**400}, "filters.value"),
        ({"type": "eq", "key": "a", "value": float("inf")}, "filters.value"),
        ({"type": "gt", "key": "a", "value": True}, "filters.value"),
        ({"type": "in", "key": "a", "value": [1] * 513}, "filters.value"),
        ({"type": "in", "key": "a", "value": [{}]}, "filters.value[0]"),
        ({"type": "eq", "key": "a", "value": 1, "sql": "1=1"}, "filters.sql"),
        ({"type": "and", "filters": []}, "filters.filters"),
        ({"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}, 7]}, "filters.filters[1]"),
    ],
)
def test_what_is_no_filter_is_named(value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_filter(value)
    assert refused.value.param == param


def test_nesting_and_number_are_bounded() -> None:
    leaf: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    deep = leaf
    for _ in range(MAX_DEPTH):
        deep = {"type": "and", "filters": [deep]}
    for wrong in (deep, {"type": "or", "filters": [leaf] * MAX_FILTERS}):
        with pytest.raises(InvalidRequest, match="at most"):
            read_filter(wrong)


def test_a_whole_number_stays_one() -> None:
    assert str(read_scalar(2024, at="a")) == "2024"
