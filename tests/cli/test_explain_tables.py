import re
from pathlib import Path

import pytest
from rich.console import Console

from headrace.cli.explain import explanation_for
from headrace.cli.explain_tables import show
from tests.cli.test_explain import CONFIG

NAMED = CONFIG.replace("model: m, capabilities: [stream, logprobs]", "model: small-1b, capabilities: [stream]").replace(
    "model: m, capabilities: [stream, tools]", "model: large-70b, capabilities: [stream]"
)
QUESTION = "What is the capital of France?"


def shown(tmp_path: Path, question: str = QUESTION, use: str = "small", model: str = "headrace/auto") -> str:
    file = tmp_path / "headrace.yaml"
    file.write_text(NAMED.replace("use: small}", f"use: {use}}}"))
    console = Console(record=True, width=80)
    show(*explanation_for(question, config=file, model=model), console)
    return console.export_text()


def plain(text: str) -> str:
    """Return the text without frames and line breaks."""
    return " ".join(re.sub("[─-╿]", " ", text).split())


def test_no_line_is_wider_than_80_columns(tmp_path: Path) -> None:
    for use in ("small", "{strategy: quality_at_cost, lambda: 0.5}", "{strategy: experts, top_k: 2}"):
        assert max(map(len, shown(tmp_path, use=use).splitlines())) <= 80


def test_the_tables_name_rule_tier_and_what_is_left_out(tmp_path: Path) -> None:
    text = shown(tmp_path, "word " * 3_000)
    assert "rule 'long' chose 'large'" in text
    assert "left out" in text
    assert "no: " in text


def test_a_strategy_shows_its_scores_and_that_nothing_was_drawn(tmp_path: Path) -> None:
    text = plain(shown(tmp_path, use="{strategy: weighted, tiers: {small: 0.9, large: 0.1}}"))
    assert "small 0.9, large 0.1" in text
    assert "nothing is drawn" in text
    assert "propensity" in text
    assert "draw" in text.split("what would have changed")[1]


def test_a_budget_is_taken_for_full_where_no_gateway_runs(tmp_path: Path) -> None:
    text = shown(tmp_path, use="{strategy: budget, use: large, else: small, usd_per_1k: 1}")
    assert "taken for full" in text
    assert "budget left" in text


def test_experts_are_listed_side_by_side(tmp_path: Path) -> None:
    assert "expert, side by side" in shown(tmp_path, use="{strategy: experts, top_k: 2}")


def test_the_parts_of_the_difficulty_are_words_and_counts(tmp_path: Path) -> None:
    text = shown(tmp_path).split("what the difficulty is made of")[1]
    assert "every question begins with" in text
    assert "“of france”" in text
    assert "they add up to the raw score" in text


def test_the_gain_is_told_where_quality_is_weighed(tmp_path: Path) -> None:
    text = plain(shown(tmp_path, use="{strategy: quality_at_cost, lambda: 0.5}"))
    assert "predicted gain" in text
    assert "they need not add up" in text
    assert "quality: from the difficulty" not in text


def test_a_change_is_told_in_words(tmp_path: Path) -> None:
    text = shown(tmp_path).split("what would have changed the decision")[1]
    assert "from 501" in text
    assert "prompt_tokens" in text


def test_a_named_tier_is_shown_without_candidates_or_changes(tmp_path: Path) -> None:
    text = shown(tmp_path, model="headrace/large")
    assert "candidates" not in text
    assert "what would have changed" not in text


@pytest.mark.parametrize("question", ["[red]danger[/red]", "[/] what?"])
def test_brackets_of_a_question_are_text(tmp_path: Path, question: str) -> None:
    assert "what the rules see" in shown(tmp_path, question)
