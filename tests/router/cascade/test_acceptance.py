import json
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.routing import Confidence
from headrace.router.cascade.acceptance import (
    FORMAT,
    FORMAT_VERSION,
    HORIZONS,
    CalibratedJudge,
    ModelCalibration,
    features,
    fingerprint,
    load,
)
from headrace.router.cascade.risk import RiskCurve

SMALL = "smollm2-135m-instruct-int8"


def content() -> dict[str, Any]:
    levels = {"knowledge": 3.0, "maths": -3.0}
    curves: dict[str, Any] = {str(horizon): {"slopes": [4.0, 0, 0, 0, 0], "levels": levels} for horizon in HORIZONS}
    curves["whole"] = {"slopes": [4.0, 0, 0, -0.2, -1.0], "levels": levels}
    curves["json:8"] = {"slopes": [1.0, 0, 0, 0, 0], "levels": {"json": 2.0}}
    curves["json:16"], curves["json:32"], curves["json:whole"] = (curves["json:8"],) * 3
    models = {"m": {"base": {"knowledge": 0.6, "maths": 0.05, "json": 0.5}, "curves": curves}}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "models": models,
        "models_sha256": fingerprint(models),
    }


@pytest.fixture
def judge(tmp_path: Path) -> CalibratedJudge:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content()))
    return load(path)


def prefix(judge: CalibratedJudge, logprobs: list[float], domain: str = "knowledge", **fields: Any) -> Confidence:
    return judge.prefix(logprobs, **{"model": "m", "domain": domain, "json": False, "max_risk": 0.2, **fields})


def whole(judge: CalibratedJudge, logprobs: list[float], domain: str = "knowledge", **fields: Any) -> Confidence:
    arguments = {"model": "m", "domain": domain, "json": False, "max_risk": 0.2, "finish_reason": "stop", **fields}
    return judge.whole(logprobs, **arguments)


def test_a_sure_start_is_enough_at_the_first_horizon(judge: CalibratedJudge) -> None:
    assert not prefix(judge, [-0.1] * 7).final
    seen = prefix(judge, [-0.1] * 8)
    assert seen.enough
    assert seen.final
    assert seen.value > 0.9


def test_an_unsure_start_waits_for_the_last_horizon(judge: CalibratedJudge) -> None:
    assert not prefix(judge, [-2.0] * 8).final
    assert not prefix(judge, [-2.0] * 31).final
    last = prefix(judge, [-2.0] * 32)
    assert last.final
    assert not last.enough


def test_only_the_tokens_up_to_the_horizon_count(judge: CalibratedJudge) -> None:
    assert prefix(judge, [-0.9] * 16) == prefix(judge, [-0.9] * 16 + [-5.0] * 10)


def test_a_domain_that_can_never_be_enough_is_given_up_at_once(judge: CalibratedJudge) -> None:
    seen = prefix(judge, [], "maths")
    assert seen.final
    assert not seen.enough
    assert "maths" in seen.why


def test_the_accepted_risk_moves_the_bar(judge: CalibratedJudge) -> None:
    start = [-0.6] * 8
    assert prefix(judge, start, max_risk=0.5).enough
    assert not prefix(judge, start, max_risk=0.01).enough


def test_confidence_in_the_same_tokens_differs_by_domain(judge: CalibratedJudge) -> None:
    assert whole(judge, [-0.1] * 9).value > 0.8
    assert whole(judge, [-0.1] * 9, "maths").value < 0.1


def test_an_answer_that_was_cut_off_counts_less(judge: CalibratedJudge) -> None:
    assert whole(judge, [-0.1] * 9, finish_reason="length").value < whole(judge, [-0.1] * 9).value


def test_json_is_judged_by_its_own_curve(judge: CalibratedJudge) -> None:
    assert whole(judge, [-0.1] * 9, "maths", json=True).value > 0.8
    assert prefix(judge, [-0.1] * 8, "maths", json=True).enough


def test_what_was_not_calibrated_is_never_enough(judge: CalibratedJudge) -> None:
    for seen in (prefix(judge, [0.0] * 40, "chat"), whole(judge, [0.0] * 4, "chat"), prefix(judge, [], model="other")):
        assert seen.final
        assert not seen.enough
    assert not judge.is_calibrated(model="other", domain="knowledge")
    assert not judge.is_calibrated(model="m", domain="chat")
    assert judge.is_calibrated(model="m", domain="maths")


def test_an_answer_without_evidence_is_not_enough(judge: CalibratedJudge) -> None:
    assert not whole(judge, []).enough


def test_features_bound_wild_log_probabilities() -> None:
    wild = features([-1e9, float("-inf"), 0.0])
    assert all(abs(one) < 100 for one in wild)
    assert features([-1.0])[3:] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"format_version": 9}, "9"), ({"models_sha256": "0" * 64}, "altered"), ({"format": "x"}, "x")],
)
def test_a_foreign_or_altered_file_is_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**content(), **change}))
    with pytest.raises(ConfigError, match=told):
        load(path)


def test_a_malformed_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    with pytest.raises(ConfigError, match="headrace router calibrate"):
        load(path)
    models = {"m": {"base": {}}}
    path.write_text(json.dumps({**content(), "models": models, "models_sha256": fingerprint(models)}))
    with pytest.raises(ConfigError, match="malformed"):
        load(path)


def test_the_packaged_calibration_keeps_the_small_model_away_from_sums_and_code() -> None:
    packaged = load()
    for domain in ("knowledge", "maths", "code", "language"):
        assert packaged.is_calibrated(model=SMALL, domain=domain)
    for domain in ("maths", "code"):
        seen = packaged.prefix([-0.01] * 32, model=SMALL, domain=domain, json=False, max_risk=0.2)
        assert not seen.enough
    fact = packaged.whole([-0.05] * 8, model=SMALL, domain="knowledge", json=False, max_risk=0.2, finish_reason="stop")
    assert fact.enough


def with_risk(judge: CalibratedJudge, *wrong: float, answers: int = 99) -> CalibratedJudge:
    curve = {"knowledge": RiskCurve(answers, wrong)}
    model = judge.models["m"]
    return CalibratedJudge({"m": ModelCalibration(model.curves, model.base, {"running": curve, "whole": curve})})


def test_where_risk_was_calibrated_the_floor_is_the_conformal_one(judge: CalibratedJudge) -> None:
    loose = with_risk(judge, 0.9)
    strict = with_risk(judge, *[0.99] * 30)
    seen = [-0.5] * 40
    assert whole(judge, seen).value == whole(loose, seen).value
    assert whole(loose, seen).enough
    assert not whole(strict, seen).enough
    assert prefix(loose, seen).enough
    assert not prefix(strict, seen).enough


def test_an_answer_is_kept_unseen_only_where_all_may_be(judge: CalibratedJudge) -> None:
    assert prefix(with_risk(judge, 0.9), [], max_risk=0.3).enough
    assert not prefix(with_risk(judge, *[0.55] * 50), [], max_risk=0.3).enough
    assert not prefix(with_risk(judge, 0.9), [], domain="knowledge", max_risk=0.001).enough


def test_too_few_calibration_answers_keep_nothing(judge: CalibratedJudge) -> None:
    few = with_risk(judge, answers=3)
    assert not whole(few, [-0.01] * 40).enough
    seen = prefix(few, [])
    assert seen.final
    assert "too few" in seen.why


def test_risk_curves_survive_the_file(tmp_path: Path) -> None:
    raw = content()
    risk = {"knowledge": {"answers": 99, "wrong": [0.9, 0.5]}}
    raw["models"]["m"]["risk"] = {"running": risk, "whole": risk}
    raw["models_sha256"] = fingerprint(raw["models"])
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(raw))
    assert load(path).models["m"].risk["whole"]["knowledge"] == RiskCurve(99, (0.9, 0.5))
