from pathlib import Path

import pytest

from headrace.router.cascade.acceptance import load
from headrace.router.training.calibrate import calibrate, write_calibration
from headrace.router.training.table import Answer, Entry


def entry(number: int, kind: str, *, correct: bool, logprob: int, as_json: bool = False) -> Entry:
    answer = Answer(
        correct=correct,
        finish_reason="stop",
        prompt_tokens=5,
        tokens=40,
        seconds=1.0,
        evidence=[logprob - number % 5] * 40,
        early_ms=[],
    )
    return Entry(f"{kind}{number}{as_json}", kind, "?", as_json, "here", "CC0-1.0", {"m": answer})


@pytest.fixture
def table() -> list[Entry]:
    """Facts: sure when right. Sums: just as sure, never right."""
    facts = [entry(n, "fact", correct=n % 2 == 0, logprob=-10 if n % 2 == 0 else -150) for n in range(60)]
    sums = [entry(n, "gsm8k_few", correct=False, logprob=-10) for n in range(30)]
    formed = [entry(n, "fact", correct=n % 4 == 0, logprob=-50, as_json=True) for n in range(20)]
    rare = [entry(0, "language", correct=True, logprob=-10)]
    return [*facts, *sums, *formed, *rare]


def test_each_domain_has_its_own_level(table: list[Entry], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, calibrate(table))
    judge = load(path)
    sure, unsure = [-0.1] * 40, [-1.5] * 40
    arguments = {"model": "m", "json": False, "max_risk": 0.2, "finish_reason": "stop"}
    assert judge.whole(sure, domain="knowledge", **arguments).value > 0.8  # type: ignore[arg-type]
    assert judge.whole(unsure, domain="knowledge", **arguments).value < 0.3  # type: ignore[arg-type]
    assert judge.whole(sure, domain="maths", **arguments).value < 0.2  # type: ignore[arg-type]


def test_a_domain_with_too_few_answers_is_not_calibrated(table: list[Entry], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(path, calibrate(table))
    judge = load(path)
    assert judge.is_calibrated(model="m", domain="knowledge")
    assert judge.is_calibrated(model="m", domain="json")
    assert not judge.is_calibrated(model="m", domain="language")


def test_no_domain_is_ever_certain(table: list[Entry]) -> None:
    base = calibrate(table)["models"]["m"]["base"]
    assert 0.0 < base["maths"] < 0.05
    assert 0.4 < base["knowledge"] < 0.6


def test_the_same_table_gives_the_same_bytes(table: list[Entry], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_calibration(tmp_path / name, calibrate(table))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
