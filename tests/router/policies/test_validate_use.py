import pytest

from headrace.contracts.policy import BudgetPacing, Latency, QualityAtCost, Use, Weighted
from headrace.router.policies.validate_use import use_problems
from tests.support.routing import TIERS, policy

POLICY = policy(tiers=TIERS)


@pytest.mark.parametrize(
    "use",
    ["small", Weighted({"small": 1.0}), QualityAtCost(0.0), Latency("large", 2.0), BudgetPacing("large", "small", 1)],
)
def test_a_sound_use_has_no_problem(use: Use) -> None:
    assert not list(use_problems(POLICY, ("use",), use))


@pytest.mark.parametrize(
    ("use", "path", "words"),
    [
        (Latency("lage", 2.0), ("use",), "unknown tier"),
        (Latency("large", 0.0), ("deadline_s",), "deadline_s of 0.0"),
        (Latency("large", float("inf")), ("deadline_s",), "deadline_s of inf"),
        (BudgetPacing("lage", "small", 1), ("use",), "unknown tier"),
        (BudgetPacing("large", "smal", 1), ("else",), "unknown tier"),
        (BudgetPacing("small", "large", 1), ("else",), "'large' is no cheaper than 'small'"),
        (BudgetPacing("small", "small", 1), ("else",), "no cheaper"),
        (BudgetPacing("large", "small", 0), ("usd_per_1k",), "nothing may be spent"),
        (BudgetPacing("large", "small", 0, 60.0), ("usd",), "nothing may be spent"),
        (BudgetPacing("large", "small", 1, 0.0), ("window_s",), "window_s of 0.0"),
        (BudgetPacing("large", "small", 1, float("nan")), ("window_s",), "window_s of nan"),
    ],
)
def test_a_mistake_is_told_at_its_key(use: Use, path: tuple[str, ...], words: str) -> None:
    (found,) = use_problems(POLICY, ("rule",), use)
    assert found.path == ("rule", *path)
    assert words in found.message
