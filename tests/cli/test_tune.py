import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from headrace.cli.router import app
from headrace.cli.tune import as_object, refusal, the_limit, told
from headrace.contracts.errors import ConfigError
from headrace.contracts.policy import LowConfidence, Probe
from headrace.contracts.routing import Difficulty
from headrace.gateway.settings.load import load, packaged
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training.constrain import Limit, Trial
from headrace.router.training.held_out import held_out
from headrace.router.training.table import read_table
from headrace.router.training.tune import Tuned

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def few_risks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try few risks: what is told of them is the same."""
    monkeypatch.setattr("headrace.router.training.tune.RISKS", (0.02, 0.2, 0.9))


def tune(*options: str) -> Result:
    return RUNNER.invoke(app, ["tune", *options], catch_exceptions=False)


def test_a_bound_becomes_lines_that_a_config_takes(tmp_path: Path) -> None:
    done = tune("--max-loss", "5%")
    assert done.exit_code == 0
    assert "at most 5 of 100 questions lost against the large tier" in done.stdout
    assert "max_risk: 0.2\n" in done.stdout
    for row in ("cascade", "always", "best", "oracle", "random", "of 1,000 resamples", "best constant at that cost"):
        assert row in done.stdout
    assert "below a coin between always small and always" in done.stdout
    lines = "\n".join(line for line in done.stdout.splitlines() if line.startswith("      "))
    assert "probe: {tokens: 32, s: 1.5, on_uncertain: escalate}" in lines
    pasted = packaged().read_text().replace("max_risk: 0.1 ", "max_risk: 0.2 ")
    config = tmp_path / "mine.yaml"
    config.write_text(pasted)
    low = load(config).policy.virtual_models["headrace/auto"].on_low_confidence
    assert low is not None
    assert low.max_risk == 0.2


def test_the_document_holds_what_the_tables_hold() -> None:
    found = json.loads(tune("--max-usd-per-1k", "0.06", "--json").stdout)
    assert found["bound"] == {"kind": "max_usd_per_1k", "most": 0.06}
    assert found["max_risk"] == 0.02
    assert found["nearest"] is None
    assert "max_risk: 0.02" in found["yaml"]
    assert len(found["calibration"]["tried"]) == 3
    assert set(found["test"]["strategies"]["cascade"]) >= {"right_percent", "usd_per_1k", "latency_s", "burden"}
    assert 0 <= found["test"]["share_of_resamples_that_hold"] <= 1


def test_a_bound_that_nothing_keeps_is_told_with_the_nearest() -> None:
    done = tune("--max-latency-s", "30")
    assert done.exit_code == 1
    assert "no max_risk keeps 95% of the answers within 30 s; the nearest is" in done.stderr
    assert "on_low_confidence" not in done.stdout


def test_a_document_without_a_choice_names_the_nearest() -> None:
    trials = [Trial(risk, 0.5, 9.0, risk, risk, is_certified=False) for risk in (0.2, 0.1)]
    low = LowConfidence(Probe(), 0.1, ("large",))
    found = as_object(Limit("max_usd_per_1k", 0.01), Tuned(trials, None, 9), "headrace/auto", low)
    assert (found["max_risk"], found["yaml"], found["nearest"]["max_risk"]) == (None, None, 0.1)
    assert "the nearest is 0.1, $0.1 and up to $0.1" in refusal(Limit("max_usd_per_1k", 0.01), Tuned(trials, None, 9))
    assert "10.0 of 100 lost" in refusal(Limit("max_loss", 0.01), Tuned(trials, None, 9))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "0 bounds given; give one of"),
        (("--max-loss", "5%", "--max-latency-s", "3"), "2 bounds given"),
        (("--max-loss", "5"), "--max-loss '5': give a share between 0 and 1"),
        (("--max-loss", "much"), "--max-loss 'much'"),
        (("--max-loss", "nan"), "--max-loss 'nan'"),
        (("--max-usd-per-1k", "-1"), "--max-usd-per-1k '-1': give a number above 0"),
        (("--max-usd-per-1k", "a lot"), "--max-usd-per-1k 'a lot': give a number above 0"),
        (("--max-latency-s", "5%"), "--max-latency-s '5%': give a number above 0"),
        (("--max-latency-s", "inf"), "--max-latency-s 'inf': give a number above 0"),
        (("--max-loss", "5%", "--virtual-model", "x"), "'x' is no virtual model"),
        (("--max-loss", "5%", "--table", "nowhere.gz"), "nowhere.gz: not a record of answers"),
    ],
)
def test_bad_input_is_one_line_with_its_cure(options: tuple[str, ...], what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        tune(*options)
    assert what in refused.value.message
    assert "\n" not in refused.value.message


def test_a_config_whose_models_nobody_asked_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no answers of local.*headrace router collect"):
        tune("--max-loss", "5%", "--config", str(packaged("urls-example")))


def test_shares_are_read_with_and_without_a_percent_sign() -> None:
    assert the_limit("5%", None, None) == the_limit(" 0.05 ", None, None) == Limit("max_loss", 0.05)
    assert the_limit(None, None, "2") == Limit("max_latency_s", 2.0)


def test_every_bound_is_told_in_words() -> None:
    assert told(Limit("max_usd_per_1k", 2.0)) == "at most $2 for 1,000 requests"
    assert told(Limit("max_latency_s", 1.5)) == "95% of the answers within 1.5 s"


def test_the_record_is_judged_apart_from_what_it_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = "headrace.router.training"
    monkeypatch.setattr(f"{training}.assemble.training_examples", lambda *_: [])
    judged = {"easy-aee7b3a6eb": Difficulty(0.25, "knowledge", unfamiliar=False)}
    monkeypatch.setattr(f"{training}.apart.judged_apart", lambda *_: judged)
    out = tmp_path / "held_out.json"
    done = RUNNER.invoke(app, ["hold-out", "--out", str(out)], catch_exceptions=False)
    assert f"{out}: 1 questions" in done.stdout
    served = load_difficulty()
    entries = read_table(split="calibration")
    assert held_out(served, served.sha256, entries, out).judge("What is the capital of Kenya?").value == 0.25
