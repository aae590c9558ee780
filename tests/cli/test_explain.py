import json
from pathlib import Path

import pytest

from headrace.cli.explain import app, explanation_for
from headrace.contracts.errors import InvalidRequest, NotFound

CONFIG = """\
version: 1
backends:
  s: {urls: ["http://127.0.0.1:9/v1"], model: m, capabilities: [stream, logprobs], context_tokens: 4096,
      price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}}
  l: {urls: ["http://127.0.0.1:9/v1"], model: m, capabilities: [stream, tools], context_tokens: 8192,
      price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
tiers: [{id: small, default: s}, {id: large, default: l}]
virtual_models:
  headrace/auto:
    select:
      - {id: long, when: {prompt_tokens: {gt: 500}}, use: large}
      - {id: default, use: small}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "headrace.yaml"
    file.write_text(CONFIG)
    return file


def test_json_holds_the_whole_plan(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app(args=["What is the capital of France?", "--config", str(config), "--json"], prog_name="headrace explain")
    assert ended.value.code == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rule"] == "default"
    assert plan["targets"][0]["tier"] == "small"
    assert 0 <= plan["features"]["difficulty"] <= 1


def test_json_tells_why(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(args=["What is the capital of France?", "--config", str(config), "--json"])
    plan = json.loads(capsys.readouterr().out)
    assert [one["tier"] for one in plan["candidates"]] == ["small", "large"]
    parts = plan["contributions"]["parts"]
    assert sum(part["value"] for part in parts) == pytest.approx(plan["contributions"]["score"])
    assert {"what": "prompt_tokens", "op": "gte", "value": 501}.items() <= plan["counterfactuals"][0].items()
    assert plan["nearest"][0]["text"] == "What is the capital of France?"
    assert plan["gain"] is None


def test_the_tables_are_printed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(args=["What is the capital of France?", "--config", str(config)])
    text = capsys.readouterr().out
    for title in ("what the rules see", "candidates", "what would have changed the decision", "nearest training"):
        assert title in text


def test_quality_is_predicted_where_a_strategy_weighs_it(config: Path) -> None:
    plan, told = explanation_for("hi", config=config, model="headrace/auto")
    assert (plan.features.quality, told.gain) == ({}, None)
    config.write_text(CONFIG.replace("use: small}", "use: {strategy: quality_at_cost, lambda: 0.5}}"))
    plan, told = explanation_for("What is the capital of France?", config=config, model="headrace/auto")
    assert len(plan.features.quality) == 2
    assert all(0 < value < 1 for value in plan.features.quality.values())
    assert told.gain is not None


def test_an_empty_question_is_refused(config: Path) -> None:
    with pytest.raises(InvalidRequest):
        app(args=["  ", "--config", str(config)])


def test_an_unknown_model_is_told(config: Path) -> None:
    with pytest.raises(NotFound):
        explanation_for("hi", config=config, model="gpt-9")
