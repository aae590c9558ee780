"""The streaming commit point on real engines; every way it can end is seen in its metric."""

import time
from typing import Any

import httpx2
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.e2e.conftest import LARGE, SMALL
from tests.support.serving import Served

# Knowledge is a domain for which the packaged calibration covers the small model.
TOUR: Any = [{"role": "user", "content": "What is the capital of France? Then tell what one can see there."}]
CAPITAL: Any = [{"role": "user", "content": "What is the capital of France?"}]


class Streamed:
    """A finished stream: its headers, chunks and the time of the first text."""

    def __init__(self, client: OpenAI, model: str, messages: Any, max_tokens: int) -> None:
        started = time.monotonic()
        self.first_s = 0.0
        self.chunks: list[ChatCompletionChunk] = []
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=messages, max_tokens=max_tokens, temperature=0, stream=True
        )
        self.headers: httpx2.Headers = raw.headers
        for chunk in raw.parse():
            self.first_s = self.first_s or time.monotonic() - started
            self.chunks.append(chunk)

    @property
    def text(self) -> str:
        return "".join(chunk.choices[0].delta.content or "" for chunk in self.chunks)


def test_a_confident_draft_commits_and_flows(served: Served, client: OpenAI) -> None:
    before = served.metric("headrace_commits_total", tier="small", reason="confident")

    seen = Streamed(client, "e2e/lenient", TOUR, 48)

    assert served.metric("headrace_commits_total", tier="small", reason="confident") == before + 1
    assert seen.headers["x-headrace-tier"] == "small"
    assert 0 <= float(seen.headers["x-headrace-confidence"]) <= 1
    decision = served.get(f"/v1/headrace/decisions/{seen.headers['x-headrace-decision']}").json()
    assert 2 * len(seen.chunks) > decision["completion_tokens"], "the answer came collapsed"
    assert {chunk.model for chunk in seen.chunks} == {SMALL}


def test_a_draft_below_the_bar_is_left_for_the_large_tier(served: Served, client: OpenAI) -> None:
    escalations = served.metric("headrace_escalations_total", tier="small", cause="rejected")
    wasted = served.metric("headrace_wasted_tokens_total", tier="small")

    seen = Streamed(client, "e2e/strict", CAPITAL, 24)

    assert served.metric("headrace_escalations_total", tier="small", cause="rejected") == escalations + 1
    assert 1 <= served.metric("headrace_wasted_tokens_total", tier="small") - wasted <= 24
    assert seen.headers["x-headrace-tier"] == "large"
    assert seen.headers["x-headrace-attempts"] == "2"
    assert {chunk.model for chunk in seen.chunks} == {LARGE}
    assert [c.choices[0].delta.role for c in seen.chunks if c.choices[0].delta.role] == ["assistant"]
    assert "Paris" in seen.text


def test_a_rejected_draft_does_not_run_on_in_the_engine(served: Served, client: OpenAI) -> None:
    Streamed(client, "e2e/strict", TOUR, 12)

    assert served.engines()[SMALL].running() == 0


def test_a_whole_answer_below_the_bar_is_escalated_and_both_attempts_are_billed(served: Served, client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="e2e/strict", messages=CAPITAL, max_tokens=12, temperature=0
    )
    decision = served.get(f"/v1/headrace/decisions/{raw.headers['x-headrace-decision']}").json()

    assert raw.parse().model == LARGE
    assert [attempt["outcome"] for attempt in decision["attempts"]] == ["rejected", "committed"]
    assert all(attempt["completion_tokens"] > 0 for attempt in decision["attempts"])
    usage = raw.parse().usage
    assert usage is not None
    assert usage.completion_tokens == decision["attempts"][1]["completion_tokens"], "usage is what the client received"


def test_the_time_bound_ends_the_probe(served: Served, client: OpenAI) -> None:
    def bounded() -> float:
        return sum(
            served.metric("headrace_commits_total", tier="small", reason=reason)
            for reason in ("time_bound", "uncertain")
        )

    before = bounded()
    seen = Streamed(client, "e2e/bound", TOUR, 160)

    assert bounded() == before + 1
    assert seen.headers["x-headrace-tier"] == "small"
    assert seen.first_s < 3.0, "the bound starts at the first token and is 0.1 s"


def test_an_answer_that_ends_inside_the_probe_is_judged_whole(served: Served, client: OpenAI) -> None:
    before = served.metric("headrace_commits_total", tier="small", reason="whole")

    seen = Streamed(client, "e2e/early", CAPITAL, 6)

    assert served.metric("headrace_commits_total", tier="small", reason="whole") == before + 1
    assert seen.chunks[-1].choices[0].finish_reason in {"stop", "length"}


def test_every_committed_stream_is_timed(served: Served, client: OpenAI) -> None:
    before = served.metric("headrace_ttft_seconds_count", tier="small")
    gaps = served.metric("headrace_inter_token_seconds_count", tier="small")

    Streamed(client, "e2e/lenient", CAPITAL, 12)

    assert served.metric("headrace_ttft_seconds_count", tier="small") == before + 1
    assert served.metric("headrace_inter_token_seconds_count", tier="small") == gaps + 1
