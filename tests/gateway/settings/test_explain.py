from typing import Any

import pytest
from pydantic import ValidationError

from headrace.gateway.settings.edge import ConfigEdge, json_schema
from headrace.gateway.settings.explain import explain, known_keys, place_of

WHOLE: dict[str, Any] = {
    "version": 1,
    "backends": {"a": {"engine": "vllm", "model": "m"}},
    "tiers": [{"id": "t", "default": "a"}],
    "virtual_models": {"v": {"select": [{"id": "d", "use": "t"}]}},
}


def told(change: dict[str, Any], *, is_secret: bool = False) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        ConfigEdge.model_validate({**WHOLE, **change})
    return explain(caught.value.errors(include_url=False)[0], json_schema(), is_secret=is_secret)


@pytest.mark.parametrize(
    ("change", "what", "cure"),
    [
        ({"severs": {}}, "unknown key", "did you mean 'server'?"),
        ({"server": None}, "a mapping is wanted, not nothing", "write `key: value` lines below it"),
        ({"server": {"port": True}}, "a whole number is wanted, not true", "write it without quotes"),
        ({"server": {"drain_s": []}}, "a number is wanted, not a list", "write it without quotes"),
        ({"server": {"port": -1}}, "the value -1 is out of bounds", "write a number at least 0"),
        ({"tiers": []}, "the length is out of bounds", "at least 1 wanted"),
        ({"tiers": {}}, "a list is wanted, not a mapping", "write `[...]`"),
        (
            {"backends": {"a": {"engine": "vllm", "model": "m", "attention": {"dense_layers": [7, -1]}}}},
            "this list cannot be used",
            "write how many first layers, or a list of layers",
        ),
        ({"aliases": {"x": "a b"}}, "the value 'a b' cannot be used", "use letters, digits and . _ : / @ + - only"),
    ],
)
def test_errors_are_told_in_the_words_of_the_author(change: dict[str, Any], what: str, cure: str) -> None:
    found = told(change)
    assert found[0] == what
    assert found[1].startswith(cure)


def test_a_secret_is_never_shown() -> None:
    assert "hunter2" not in " ".join(told({"server": {"port": "hunter2"}}, is_secret=True))


def test_a_bad_key_is_told_at_the_key() -> None:
    with pytest.raises(ValidationError) as caught:
        ConfigEdge.model_validate({**WHOLE, "backends": {"a b": WHOLE["backends"]["a"]}})
    assert place_of(caught.value.errors()[0]) == (("backends", "a b"), True)


def test_known_keys_are_found_through_lists_maps_and_options() -> None:
    schema = json_schema()
    assert "use" in known_keys(schema, ("virtual_models", "x", "select", 3))
    assert "tokens" in known_keys(schema, ("virtual_models", "x", "on_low_confidence", "probe"))
    assert known_keys(schema, ("nothing", "here")) == []
