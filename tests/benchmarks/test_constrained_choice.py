import numpy as np
import pytest

from benchmarks import constrained_choice
from benchmarks.cascade_live import VIRTUAL_MODEL
from benchmarks.constrained_choice import Pool, limits, often, once, realised, setups
from headrace.gateway.settings.load import load, packaged
from headrace.router.cascade.acceptance import CalibratedJudge
from headrace.router.training.compose import Composer
from headrace.router.training.constrain import Arm, Limit
from tests.router.training.test_compose import POLICY, ByLength
from tests.router.training.test_tune import CALIBRATION, TEST

QUESTIONS = 300


def pool() -> Pool:
    """Return a cascade that keeps a share of free drafts, a fifth of them wrong."""
    rng = np.random.default_rng(1)
    wrong = rng.random(QUESTIONS) < 0.2
    order = rng.random(QUESTIONS)
    arms = {}
    for risk in (0.05, 0.1, 0.5):
        kept = order < 2 * risk
        arms[risk] = Arm(1.0 - (kept & wrong), np.where(kept, 0.0, 1000.0), np.ones(QUESTIONS))
    small = Arm(1.0 - wrong, np.zeros(QUESTIONS), np.ones(QUESTIONS))
    return Pool(arms, small, Arm(np.ones(QUESTIONS), np.full(QUESTIONS, 1000.0), np.ones(QUESTIONS)))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few times."""
    monkeypatch.setattr(constrained_choice, "RESAMPLES", 60)
    monkeypatch.setattr(constrained_choice, "DRAWS", 60)


def test_a_bound_is_seldom_wrongly_certified() -> None:
    found = dict(often(pool(), Limit("max_loss", 0.06)))
    assert found["certified"].value == 1.0
    assert found["wrongly_certified_percent"].value <= 10.0
    assert found["burden"].low < found["burden"].value < 0.06
    assert found["max_risk"].value < 0.5


def test_a_bound_out_of_reach_is_never_certified() -> None:
    found = dict(often(pool(), Limit("max_latency_s", 0.5)))
    assert found["certified"].value == 0.0
    assert "burden" not in found


def test_what_a_threshold_makes_is_set_against_the_coin() -> None:
    burden, right, usd, over = realised(pool(), Limit("max_loss", 0.1), 0.5)
    assert burden == pytest.approx(1 - right / 100)
    assert (usd, over) == (0.0, pytest.approx(0.0))


def test_a_choice_is_tried_once_on_the_test_split() -> None:
    composer = Composer(POLICY, "auto", ByLength(), CalibratedJudge({}))
    found = dict(once(composer, composer, Limit("max_loss", 0.1), (CALIBRATION, TEST)))
    assert found["certified"].value == 1.0
    assert found["burden"].low <= found["burden"].value <= found["burden"].high
    none = dict(once(composer, composer, Limit("max_usd_per_1k", 1e-9), (CALIBRATION, TEST)))
    assert list(none) == ["certified"]


def test_both_cascades_judge_alike_and_differ_in_their_rules() -> None:
    found = setups(load(packaged()).policy)
    both = [policy.virtual_models[VIRTUAL_MODEL] for policy in found.values()]
    assert both[0].on_low_confidence == both[1].on_low_confidence
    assert len(both[1].select) == 1 < len(both[0].select)
    assert {one.kind for name in found for one in limits(name)} == {"max_loss", "max_usd_per_1k", "max_latency_s"}
