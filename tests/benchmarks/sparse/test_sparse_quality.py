from pathlib import Path

import pytest
import torch

from benchmarks.sparse_quality import SWEEPS, Kept, found, loss, methods, wilson


def test_the_loss_is_that_of_the_tokens_that_came() -> None:
    logits = torch.full((3, 4), -100.0)
    logits[0, 1] = logits[1, 2] = 0.0
    assert loss(logits, [3, 1, 2]) == pytest.approx(0.0, abs=1e-6)
    assert loss(logits, [3, 1, 3]) == pytest.approx(50.0, abs=1e-3)


def test_a_needle_is_found_only_if_every_token_is() -> None:
    logits = torch.zeros(4, 5)
    logits[1, 3] = logits[2, 4] = 1.0
    assert found(logits, [0, 0, 3, 4], range(2, 4))
    assert not found(logits, [0, 0, 3, 1], range(2, 4))


def test_a_pass_is_made_once(tmp_path: Path) -> None:
    path, calls = tmp_path / "run.jsonl", []

    def made() -> dict[str, int]:
        calls.append(1)
        return {"value": len(calls)}

    assert Kept(path).make("a", made)["value"] == 1
    assert Kept(path).make("a", made)["value"] == 1


def test_dense_comes_first_and_every_method_has_every_budget() -> None:
    several = methods((4, 8), (0.5,))
    assert several[0].name == "dense"
    assert len({(one.name, one.budget) for one in several}) == 1 + 2 * 5 + 1


def test_a_share_of_needles_has_wilsons_interval() -> None:
    none, half = wilson(0, 10), wilson(5, 10)
    assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, 27.75), abs=0.01)
    assert (half.value, half.low, half.high) == pytest.approx((50.0, 23.66, 76.34), abs=0.01)
    assert wilson(24, 24).high == pytest.approx(100.0)


def test_no_pass_of_a_sweep_has_the_key_of_another() -> None:
    for sweeps in SWEEPS.values():
        kinds = [(sweep.length, sweep.has_needles) for sweep in sweeps]
        assert len(set(kinds)) == len(kinds)
