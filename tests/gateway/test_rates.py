import random
from typing import Any

import pytest

from headrace.contracts.policy import Latency, Rule
from headrace.contracts.routing import Attempt, Load
from headrace.gateway.rates import Rate, Rates, are_wanted
from tests.support.routing import auto, policy


def attempt(**fields: Any) -> Attempt:
    values: dict[str, Any] = {
        "tier": "small",
        "backend": "small-backend",
        "model": "small-model",
        "outcome": "committed",
        "prompt_tokens": 10,
        "completion_tokens": 11,
        "cost_microusd": 1,
        "started_s": 0.5,
        "queued_s": 0.25,
        "ttft_s": 1.0,
        "ended_s": 2.0,
    }
    return Attempt(**{**values, **fields})


def test_a_streamed_answer_tells_its_first_token_its_pace_and_its_length() -> None:
    rates = Rates(lambda _: 0.0)
    rates.learn([attempt()], is_stream=True)
    assert rates.load("small", "small-backend") == Load(0.0, 0.25, 0.0, pytest.approx(0.1), 11.0)


def test_an_answer_that_came_whole_tells_only_its_pace() -> None:
    rates = Rates(lambda _: 0.0)
    rates.learn([attempt(ttft_s=2.0, completion_tokens=10)], is_stream=False)
    load = rates.load("small", "small-backend")
    assert load.first_s is None
    assert load.token_s == pytest.approx(1.25 / 10)


def test_a_backend_that_never_answered_is_unknown_but_for_the_line() -> None:
    assert Rates(lambda tier: 1.5 if tier == "small" else 0.0).load("small", "small-backend") == Load(1.5)


def test_attempts_without_tokens_and_those_that_broke_or_were_left_teach_nothing() -> None:
    rates = Rates(lambda _: 0.0)
    rates.learn([attempt(outcome="failed"), attempt(outcome="cancelled")], is_stream=True)
    rates.learn([attempt(ttft_s=None), attempt(completion_tokens=0)], is_stream=True)
    assert rates.load("small", "small-backend").first_s is None


def test_the_length_of_a_rejected_draft_is_no_answers_length() -> None:
    rates = Rates(lambda _: 0.0)
    rates.learn([attempt(outcome="rejected"), attempt(outcome="searched")], is_stream=True)
    load = rates.load("small", "small-backend")
    assert (load.first_s, load.answer_tokens) == (0.25, 0.0)


def test_what_a_prompt_token_takes_is_told_apart_from_what_every_answer_takes() -> None:
    numbers, rate = random.Random(3), Rate()  # noqa: S311  (a simulation)
    for _ in range(400):
        prompt = numbers.randrange(10, 2_000)
        first_s = 0.2 + 0.001 * prompt + numbers.gauss(0, 0.01)
        rate.add(attempt(prompt_tokens=prompt, ttft_s=0.75 + first_s, ended_s=5.0), is_stream=True)
    base_s, prefill_s = rate.line()
    assert base_s == pytest.approx(0.2, abs=0.02)
    assert prefill_s == pytest.approx(0.001, rel=0.05)


def test_prompts_of_one_length_give_a_mean() -> None:
    rate = Rate()
    for _ in range(5):
        rate.add(attempt(), is_stream=True)
    assert rate.line() == (0.25, 0.0)


def test_no_line_promises_an_answer_before_it_is_asked_for() -> None:
    rate = Rate()
    for prompt, first_s in ((100, 0.01), (200, 1.0)) * 20:
        rate.add(attempt(prompt_tokens=prompt, ttft_s=0.75 + first_s, ended_s=5.0), is_stream=True)
    base_s, prefill_s = rate.line()
    assert base_s == 0.0
    assert prefill_s > 0.0


def test_what_is_new_counts_more_than_what_is_old() -> None:
    rate = Rate()
    for first_s in (1.0,) * 50 + (0.1,) * 50:
        rate.add(attempt(ttft_s=0.75 + first_s, ended_s=3.0), is_stream=True)
    assert rate.line()[0] == pytest.approx(0.1, abs=0.01)


def test_a_backend_that_is_gone_is_forgotten() -> None:
    rates = Rates(lambda _: 0.0)
    rates.learn([attempt(), attempt(backend="old")], is_stream=True)
    rates.reshape(policy())
    assert rates.load("small", "small-backend").first_s == 0.25
    assert rates.load("small", "old") == Load()


def test_rates_are_wanted_where_a_rule_has_a_deadline() -> None:
    assert not are_wanted(policy())
    assert are_wanted(policy(auto(select=(Rule("only", None, Latency("large", 2.0)),))))
