from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.policy import BudgetPacing, Experts, Policy, Rule, Tier, Use
from headrace.router.cascade.acceptance import CalibratedJudge
from headrace.router.training.bootstrap import Bootstrap
from headrace.router.training.compose import Composer
from headrace.router.training.constrain import Arm, Limit
from headrace.router.training.table import Entry
from headrace.router.training.tune import (
    CASCADE,
    RISKS,
    best_constant,
    cross_fitted,
    fitted,
    ladder,
    low_confidence,
    shown,
    tune,
    usable,
    with_risk,
)
from tests.router.training.test_compose import LARGE, POLICY, SMALL, ByLength, answer


def entry(number: int, *, as_json: bool = False) -> Entry:
    """Return a question whose small answer is right, and surer, in two cases of three; the large one is right."""
    right = number % 3 != 0
    small = answer(correct=right, logprob=-5 - number % 7 if right else -120 - number % 60, tokens=6)
    answers = {"small": small, "large": answer(correct=True, logprob=-10, tokens=8)}
    return Entry(f"q{number}", "fact", f"q{number}", as_json=as_json, origin="", license="", answers=answers)


CALIBRATION = [entry(number) for number in range(150)]
TEST = [entry(number) for number in range(1000, 1090)]


@pytest.fixture
def composer() -> Composer:
    return Composer(POLICY, "auto", ByLength(), CalibratedJudge({}))


def using(use: Use) -> Policy:
    model = replace(POLICY.virtual_models["auto"], select=(Rule("only", None, use),))
    return replace(POLICY, virtual_models={"auto": model})


def test_a_bound_on_loss_becomes_a_risk_that_keeps_it_on_questions_not_seen(composer: Composer) -> None:
    found = tune(composer, composer, Limit("max_loss", 0.1), CALIBRATION, TEST, table="t")
    assert found.chosen is not None
    assert found.chosen.max_risk in RISKS
    assert found.chosen.bound <= 0.1
    assert (found.questions, found.test_questions) == (150, 90)
    assert found.shown[CASCADE].usd_per_1k.value < found.shown["always large"].usd_per_1k.value
    assert found.shown[CASCADE].burden.value <= 0.1
    assert found.shown[CASCADE].over_random.low > 0
    assert found.holds > 0.9
    assert found.constant == "small"


def test_a_bound_that_nothing_keeps_gives_no_choice(composer: Composer) -> None:
    found = tune(composer, composer, Limit("max_usd_per_1k", 1e-6), CALIBRATION, TEST, table="t")
    assert found.chosen is None
    assert not found.shown
    assert len(found.trials) == len(RISKS)


def test_the_choice_reads_no_test_question(composer: Composer) -> None:
    limit = Limit("max_loss", 0.1)
    spoilt = [replace_answers(one) for one in TEST]
    before, after = (tune(composer, composer, limit, CALIBRATION, asked, table="t") for asked in (TEST, spoilt))
    assert before.trials == after.trials
    assert before.holds > after.holds


def replace_answers(one: Entry) -> Entry:
    wrong = answer(correct=False, logprob=-5, tokens=6)
    return Entry(one.question_id, "fact", one.text, False, "", "", {**one.answers, "small": wrong})  # noqa: FBT003  (as_json)


def test_a_judge_has_seen_no_question_of_the_fold_it_judges(composer: Composer) -> None:
    seen: list[set[str]] = []

    def spy(entries: list[Entry]) -> CalibratedJudge:
        seen.append({one.question_id for one in entries})
        return CalibratedJudge({})

    found = cross_fitted(composer, CALIBRATION, CALIBRATION, (0.1,), spy)  # type: ignore[arg-type]
    assert len(found[0.1]) == len(CALIBRATION)
    for one in CALIBRATION:
        assert sum(one.question_id not in names for names in seen) == 1


def test_only_the_risk_changes(composer: Composer) -> None:
    changed = with_risk(composer, 0.01).policy.virtual_models["auto"].on_low_confidence
    before = POLICY.virtual_models["auto"].on_low_confidence
    assert changed is not None
    assert before is not None
    assert (changed.max_risk, changed.probe, changed.then) == (0.01, before.probe, before.then)


def test_json_questions_and_those_a_model_did_not_answer_are_left_out() -> None:
    torn = Entry("torn", "fact", "?", False, "", "", {"small": CALIBRATION[0].answers["small"]})  # noqa: FBT003  (as_json)
    kept = usable([*CALIBRATION[:3], entry(7, as_json=True), torn], POLICY, table="t")
    assert [one.question_id for one in kept] == ["q0", "q1", "q2"]


@pytest.mark.parametrize("use", [Experts(2), BudgetPacing("large", "small", 100, 60.0)])
def test_what_a_record_cannot_tell_is_refused(use: Use) -> None:
    with pytest.raises(ConfigError, match="rule 'only': a record does not tell"):
        low_confidence(using(use), "auto")


def test_bad_input_is_named_with_its_cure() -> None:
    with pytest.raises(ConfigError, match="'x' is no virtual model of this config; one of: auto"):
        low_confidence(POLICY, "x")
    silent = replace(POLICY.virtual_models["auto"], on_low_confidence=None)
    with pytest.raises(ConfigError, match="judges no answers; give it on_low_confidence"):
        low_confidence(replace(POLICY, virtual_models={"auto": silent}), "auto")
    other = replace(
        POLICY, tiers=(*POLICY.tiers, Tier("huge", "huge")), cards={**POLICY.cards, "huge": replace(LARGE, id="h")}
    )
    with pytest.raises(ConfigError, match=r"t: no answers of huge \(h\).*headrace router collect"):
        usable(CALIBRATION, other, table="t")
    with pytest.raises(ConfigError, match="t: no question that every model"):
        usable([], POLICY, table="t")


def test_the_best_constant_is_the_most_accurate_within_the_budget() -> None:
    cards = ladder(POLICY)
    assert cards == [SMALL, LARGE]
    assert best_constant(cards, CALIBRATION, 1e9) is LARGE
    assert best_constant(cards, CALIBRATION, 200.0) is SMALL
    assert best_constant(cards, CALIBRATION, 0.0) is SMALL


def test_the_coin_costs_what_the_cascade_costs() -> None:
    def arm(right: float, cost: float) -> Arm:
        return Arm(np.full(4, right), np.full(4, cost), np.full(4, cost))

    arms = {"always small": arm(0.2, 1000.0), "always large": arm(1.0, 9000.0), CASCADE: arm(0.8, 5000.0)}
    found = shown(Limit("max_loss", 0.1), arms, Bootstrap.of(np.arange(4), resamples=10))
    coin = found["random, equal cost"]
    assert coin.right_percent.value == pytest.approx(60.0)
    assert coin.usd_per_1k.value == pytest.approx(5.0)
    assert coin.burden.value == pytest.approx(0.4)
    assert found[CASCADE].over_random.value == pytest.approx(20.0)
    assert found["always large"].over_random.value == pytest.approx(0.0)


def test_nothing_to_fit_on_gives_a_judge_that_knows_nothing() -> None:
    assert not fitted([]).is_calibrated(model="small", domain="knowledge")
