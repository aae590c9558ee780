from dataclasses import replace

import pytest

from headrace.contracts.policy import BudgetPacing, Experts, Latency, Limits, QualityAtCost, Tier, Use, Weighted
from headrace.router.policies.validate_use import use_problems
from tests.support.routing import TIERS, card, policy

SPECIAL = policy(tiers=TIERS, cards={"coder": card("coder"), "loose": card("loose")})
POLICY = replace(SPECIAL, tiers=(Tier("small", "small-backend", {"code": "coder"}), *SPECIAL.tiers[1:]))


@pytest.mark.parametrize(
    "use",
    [
        "small",
        Weighted({"small": 1.0}),
        QualityAtCost(0.0),
        Latency("large", 2.0),
        BudgetPacing("large", "small", 1),
        Experts(3),
        Experts(2, "judge", ("small-backend", "coder"), "large"),
    ],
)
def test_a_sound_use_has_no_problem(use: Use) -> None:
    assert not list(use_problems(POLICY, ("use",), use, Limits()))


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
        (Experts(0), ("top_k",), "0 of 4 backends"),
        (Experts(5), ("top_k",), "5 of 4 backends"),
        (Experts(4), ("top_k",), "4 attempts at once, and limits.max_attempts is 3"),
        (Experts(3, "judge", judge="large"), ("top_k",), "4 attempts at once"),
        (Experts(3, backends=("small-backend", "coder")), ("top_k",), "3 of 2 backends"),
        (Experts(1, backends=("codr", "coder")), ("backends", 0), "unknown backend 'codr'"),
        (Experts(1, backends=("coder", "loose")), ("backends", 1), "stands in no tier"),
        (Experts(1, backends=("coder", "coder")), ("backends", 1), "stands there twice"),
        (Experts(2, "judge"), ("judge",), "only with it"),
        (Experts(2, "vote", judge="large"), ("judge",), "only with it"),
        (Experts(2, "judge", judge="lage"), ("judge",), "unknown tier"),
        (Experts(2, quality_per_milliusd=-1.0), ("lambda",), "lambda -1.0"),
        (Experts(2, deadline_s=0.0), ("deadline_s",), "deadline_s of 0.0"),
    ],
)
def test_a_mistake_is_told_at_its_key(use: Use, path: tuple[str, ...], words: str) -> None:
    (found,) = use_problems(POLICY, ("rule",), use, Limits())
    assert found.path == ("rule", *path)
    assert words in found.message
