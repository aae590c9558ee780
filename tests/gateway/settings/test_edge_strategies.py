import pytest
from pydantic import ValidationError

from headrace.gateway.settings.edge_strategies import STRATEGIES, BudgetEdge


def test_every_strategy_is_found_under_the_word_it_asks_for() -> None:
    for word, edge in STRATEGIES.items():
        assert edge.model_json_schema()["properties"]["strategy"]["const"] == word


@pytest.mark.parametrize("budget", [{}, {"usd": 1}, {"window_s": 60}, {"usd": 1, "window_s": 60, "usd_per_1k": 1}])
def test_a_budget_has_one_window(budget: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="either usd with window_s, or usd_per_1k"):
        BudgetEdge.model_validate({"strategy": "budget", "use": "large", "else": "small", **budget})
