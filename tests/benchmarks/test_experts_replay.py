from dataclasses import replace

import numpy as np
import pytest

from benchmarks.cascade.record import words
from benchmarks.experts_replay import Pool, strategies, tabulate
from headrace.router.training.bootstrap import Bootstrap
from tests.support.recorded import SIZE, answers, hardness, setup_of

EASY = hardness() < 0.5


def pool(source: str, *, subjects: int = 1) -> Pool:
    """Two specialists: one right on the easy questions, one on the hard ones; the gate knows which is which."""
    record = setup_of(EASY, ~EASY).record
    models = {"easy": answers(EASY, cost=1.0), "hard": answers(~EASY, cost=2.0)}
    subject = words([f"s{int(easy) % subjects}" for easy in EASY])
    predicted = np.column_stack([EASY, ~EASY]).astype(np.float64)
    return Pool(source, "both", replace(record, models=models, subject=subject), ("easy", "hard"), predicted)


def test_a_gate_that_knows_beats_the_best_single_at_half_the_price() -> None:
    one = pool("zeroeval_gsm")
    rows = {line.place[2:]: line.interval.value for line in tabulate(one, Bootstrap.of(one.record.group, resamples=50))}
    assert rows["K = 1, by predicted quality", "right_percent"] == pytest.approx(100.0)
    assert rows["best single", "right_percent"] == pytest.approx(50.0)
    assert rows["K = 1, by predicted quality", "minus_best_single_points"] == pytest.approx(50.0)
    assert rows["K = 2, by predicted quality", "right_percent"] == pytest.approx(100.0)
    assert rows["oracle", "right_percent"] == pytest.approx(100.0)
    assert rows["a model at random", "right_percent"] == pytest.approx(50.0)


def test_every_expert_is_paid() -> None:
    found = strategies(pool("zeroeval_gsm"))
    assert found["K = 2, by predicted quality"].cost.tolist() == [3.0] * SIZE
    assert not any(name.startswith(("K = 3", "K = 5")) for name in found)


def test_without_answers_nothing_is_fused() -> None:
    found = strategies(pool("llmrouter_ulab", subjects=2))
    assert {name.split(",")[0] for name in found} == {"K = 1"}
    assert found["K = 1, the best of the question's subject"].right.mean() == 1.0
