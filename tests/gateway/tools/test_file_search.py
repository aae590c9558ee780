from typing import Any

import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.tools.kinds import standard_kinds

SEARCH = {"type": "file_search", "vector_store_ids": ["vs_1"]}


def test_a_file_search_is_known_by_its_type() -> None:
    ranked = {**SEARCH, "max_num_results": 50, "ranking_options": {"ranker": "auto", "score_threshold": 0.5}}
    assert standard_kinds().read([ranked]) == {"file_search": "file_search"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"vector_store_ids": []}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": None}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": ["vs_1"] * 2}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": [f"vs_{n}" for n in range(17)]}, "tools[0].vector_store_ids"),
        ({"vector_store_ids": ["../../etc"]}, "tools[0].vector_store_ids[0]"),
        ({"vector_store_ids": [3]}, "tools[0].vector_store_ids[0]"),
        ({"max_num_results": 0}, "tools[0].max_num_results"),
        ({"max_num_results": 51}, "tools[0].max_num_results"),
        ({"max_num_results": "5"}, "tools[0].max_num_results"),
        ({"ranking_options": {"score_threshold": 1.5}}, "tools[0].ranking_options.score_threshold"),
        ({"ranking_options": {"ranker": "best"}}, "tools[0].ranking_options.ranker"),
        ({"filters": []}, "tools[0].filters"),
        ({"tenant": "other"}, "tools[0].tenant"),
    ],
)
def test_a_bad_file_search_is_refused_at_its_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        standard_kinds().read([{**SEARCH, **change}])
    assert caught.value.param == param


def test_a_request_has_one_file_search() -> None:
    with pytest.raises(InvalidRequest, match="stands twice"):
        standard_kinds().read([SEARCH, SEARCH])
