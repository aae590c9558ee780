from pathlib import Path

import pytest

from benchmarks.cascade.energy import READ, WATTS, WRITTEN, energy_j, joules_per_token
from benchmarks.cascade_live import LARGE, SMALL
from headrace.router.training.compose import Result, Spent


def test_a_token_takes_its_share_of_a_full_machine(tmp_path: Path) -> None:
    table = tmp_path / "engine.csv"
    table.write_text("row,mode,load,figure,p50\nm,int8,c32,tokens_per_s,32\nm,int8,c1,tokens_per_s,4\nn,bf16,c32,x,1\n")
    assert joules_per_token(table) == {"m": pytest.approx(WATTS * WRITTEN / (32 * (READ + WRITTEN)))}


def test_drafts_count_too() -> None:
    spent = (Spent("a", 10, 5), Spent("b", 10, 40))
    result = Result(right=True, cost_microusd=1.0, seconds=1.0, model="b", spent=spent)
    assert energy_j(result, {"a": 0.1, "b": 1.0}) == pytest.approx(51.5)
    with pytest.raises(KeyError):
        energy_j(result, {"a": 0.1})


def test_both_default_tiers_were_timed_and_the_large_one_takes_more() -> None:
    joules = joules_per_token()
    assert 0 < joules[SMALL] < joules[LARGE]
