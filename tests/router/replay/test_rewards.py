import math
from decimal import Decimal

import pytest

from headrace.contracts.models import Price
from headrace.router.replay.log import Step
from headrace.router.replay.rewards import PRIOR, earned, learn, length, means
from tests.support.replaying import lined, traffic
from tests.support.routing import policy

PRICES = {"small-model": Price(Decimal(1), Decimal(2)), "large-model": Price(Decimal(10), Decimal(20))}
SMALL = Step("small", "small-model", judged=False)
LARGE = Step("large", "large-model", judged=False)


def test_a_cell_of_few_is_drawn_to_its_model_and_the_model_to_all() -> None:
    found = means([("a", "x", 1.0)] * 10 + [("b", "x", 0.0)] * 10, 0.5)
    assert found.overall == 0.5
    assert found.by_model["a"] == pytest.approx((10 + PRIOR * 0.5) / (10 + PRIOR))
    assert found.at("a", "x") == pytest.approx((10 + PRIOR * found.by_model["a"]) / (10 + PRIOR))
    assert found.at("a", "elsewhere") == found.by_model["a"]
    assert found.at("c", "x") == 0.5


def test_nothing_seen_is_what_the_caller_says() -> None:
    assert means([], 256.0).at("a", "x") == 256.0


@pytest.mark.parametrize(
    ("tokens", "name"), [(1, "<=64"), (64, "<=64"), (65, "<=256"), (1024, "<=1024"), (9999, ">1024")]
)
def test_prompts_are_told_apart_by_length(tokens: int, name: str) -> None:
    assert length(tokens) == name


def test_a_tiers_cost_is_its_price_of_the_prompt_and_of_its_own_mean_length() -> None:
    logged = traffic(lined(epsilon=0.5), 400)
    entry = logged.entries[0]
    found = learn(logged.entries, logged.scores, PRICES).predict(entry.features, (LARGE,))
    assert found.cost == pytest.approx(10 * entry.features.prompt_tokens + 20 * 99.5, rel=0.05)
    assert found.latency == pytest.approx(99.5 * 0.03, rel=0.1)


def test_a_price_nobody_knows_is_the_mean_cost_of_the_log() -> None:
    logged = traffic(lined(epsilon=0.5), 400)
    booked = [one.cost_microusd for entry in logged.entries for one in entry.attempts if one.model == "large-model"]
    found = learn(logged.entries, {}, {}).predict(logged.entries[0].features, (LARGE,))
    assert found.cost == pytest.approx(sum(booked) / len(booked), rel=0.1)


def test_a_judged_draft_hands_on_as_often_as_the_log_shows() -> None:
    logged = traffic(policy(), 600)
    model = learn(logged.entries, logged.scores, PRICES)
    judged = Step("small", "small-model", judged=True)
    entry = logged.entries[0]
    alone = model.predict(entry.features, (SMALL,))
    chained = model.predict(entry.features, (judged, LARGE))
    bad, drafts = model.rejected["small-model"]
    share = (chained.cost - alone.cost) / model.predict(entry.features, (LARGE,)).cost
    assert share == pytest.approx(bad / drafts, rel=0.1)
    assert model.quality.at("small-model", "chat") > 0.9


def test_without_evidence_a_draft_is_rejected_as_often_as_it_is_hard() -> None:
    (entry,) = traffic(lined(), 1).entries
    model = learn([], {}, PRICES)
    judged = Step("small", "small-model", judged=True)
    large = model.predict(entry.features, (LARGE,)).cost
    added = model.predict(entry.features, (judged, LARGE)).cost - model.predict(entry.features, (SMALL,)).cost
    assert added / large == pytest.approx(entry.features.difficulty)


def test_quality_is_unknown_where_nobody_graded() -> None:
    logged = traffic(lined(), 20)
    assert math.isnan(learn(logged.entries, {}, PRICES).predict(logged.entries[0].features, (SMALL,)).quality)


def test_what_was_earned_is_priced_anew() -> None:
    entry = traffic(lined(), 1).entries[0]
    dearer = {"small-model": Price(Decimal(100), Decimal(200)), "large-model": Price(Decimal(1000), Decimal(2000))}
    assert earned(entry, 1.0, {}).cost == entry.cost_microusd
    assert earned(entry, 1.0, dearer).cost == pytest.approx(100 * entry.cost_microusd)
    assert earned(entry, 0.5, {}).latency == entry.total_s
