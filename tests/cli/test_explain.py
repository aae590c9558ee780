import json
from pathlib import Path

import pytest
from rich.console import Console

from headrace.cli.explain import app, plan_for, show
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


def test_a_table_names_rule_tier_and_what_is_left_out(config: Path) -> None:
    console = Console(record=True, width=200)
    show(plan_for("word " * 3_000, config=config, model="headrace/auto"), console)
    text = console.export_text()
    assert "long" in text
    assert "large" in text
    assert "left out" in text


def test_a_strategy_shows_its_scores_and_that_nothing_was_drawn(config: Path) -> None:
    split = "use: {strategy: weighted, tiers: {small: 0.9, large: 0.1}}}"
    config.write_text(CONFIG.replace("use: small}", split))
    console = Console(record=True, width=200)
    show(plan_for("hi", config=config, model="headrace/auto"), console)
    text = console.export_text()
    assert "small 0.9, large 0.1" in text
    assert "nothing is drawn here, 0.5 is taken" in text
    assert "propensity" in text


def test_quality_is_predicted_where_a_strategy_weighs_it(config: Path) -> None:
    assert plan_for("hi", config=config, model="headrace/auto").features.quality == {}
    config.write_text(CONFIG.replace("use: small}", "use: {strategy: quality_at_cost, lambda: 0.5}}"))
    plan = plan_for("What is the capital of France?", config=config, model="headrace/auto")
    assert len(plan.features.quality) == 2
    assert all(0 < value < 1 for value in plan.features.quality.values())


def test_a_budget_is_taken_for_full_where_no_gateway_runs(config: Path) -> None:
    config.write_text(CONFIG.replace("use: small}", "use: {strategy: budget, use: large, else: small, usd_per_1k: 1}}"))
    console = Console(record=True, width=200)
    show(plan_for("hi", config=config, model="headrace/auto"), console)
    assert "taken for full" in console.export_text()


def test_an_empty_question_is_refused(config: Path) -> None:
    with pytest.raises(InvalidRequest):
        app(args=["  ", "--config", str(config)])


def test_an_unknown_model_is_told(config: Path) -> None:
    with pytest.raises(NotFound):
        plan_for("hi", config=config, model="gpt-9")
