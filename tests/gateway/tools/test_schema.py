from typing import Any

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.tools.schema import check_schema


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"$ref": "https://example.com/schema.json"}, "remote_reference"),
        ({"$ref": "file:///etc/passwd"}, "remote_reference"),
        ({"properties": {"a": {"$ref": 3}}}, "remote_reference"),
        ({"$ref": "#"}, "recursive_schema"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "recursive_schema"),
        ({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}, "recursive_schema"),
        (nested(40), "schema_too_deep"),
        ({"description": "x" * 100_001}, "schema_too_large"),
        ({"pattern": "(a+)+$"}, "unsafe_pattern"),
        ({"pattern": "(a|a)*b"}, "unsafe_pattern"),
        ({"pattern": "((ab)*c)*d"}, "unsafe_pattern"),
        ({"pattern": r"(?=a)b"}, "unsafe_pattern"),
        ({"pattern": r"(a)\1"}, "unsafe_pattern"),
        ({"patternProperties": {"(x*)*": {}}}, "unsafe_pattern"),
        ({"pattern": "("}, None),
        ({"pattern": "a" * 600}, None),
        ([], "invalid_type"),
    ],
)
def test_a_schema_that_could_hurt_is_refused(schema: Any, code: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_schema(schema, at="tools[0]")
    assert caught.value.code == code


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]+-[0-9]{2,4}$"}}},
        {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/$defs/a"}}},
        {"pattern": r"^(foo|bar)$"},
        {"pattern": r"^\d{4}-\d{2}-\d{2}$"},
        nested(20),
    ],
)
def test_an_ordinary_schema_passes(schema: dict[str, Any]) -> None:
    check_schema(schema, at="tools[0]")
