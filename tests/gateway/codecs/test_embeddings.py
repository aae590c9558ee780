import json
from typing import Any

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.embeddings import read_order


def read(**fields: Any) -> Any:
    return read_order(json.dumps({"model": "m", **fields}).encode(), max_depth=16)


@pytest.mark.parametrize(
    "given", ["", [], [""], ["a", 1], [1, "a"], [[]], [[1], "a"], [[-1]], [["x"]], None, 3, ["a"] * 2049, [[1] * 8193]]
)
def test_inputs_without_sense_are_400(given: Any) -> None:
    with pytest.raises(InvalidRequest):
        read(input=given)


@pytest.mark.parametrize(
    ("given", "inputs"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2]], [[1], [2]])]
)
def test_every_form_of_input_becomes_a_list(given: Any, inputs: Any) -> None:
    assert read(input=given).call.inputs == inputs


@pytest.mark.parametrize("field", [{"encoding_format": "hex"}, {"dimensions": 0}, {"dimensions": 2**40}, {"extra": 1}])
def test_other_fields_are_bounded(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read(input="a", **field)
