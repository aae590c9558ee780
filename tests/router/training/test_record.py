import asyncio
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from headrace.contracts.chat import Chunk, ChunkChoice, Logprobs, TokenLogprob, TopLogprob, Usage
from headrace.contracts.errors import ConfigError
from headrace.contracts.models import Price
from headrace.contracts.protocols import UpstreamCall
from headrace.router.training.labelled import Question
from headrace.router.training.record import (
    AGAIN,
    ASK_CONFIDENCE,
    CONFIDENCE,
    GREEDY,
    MAX_TOKENS,
    Ask,
    Asking,
    Row,
    append_row,
    call_of,
    kept_rows,
    plan,
    record,
    stated_confidence,
)

FACT = Question("q1", "fact", "What is the capital of France?", "contains_word", {"answers": ["Paris"]})
QUESTIONS = [Question(f"q{n}", "fact", "?", "contains_word", {"answers": ["Paris"]}) for n in range(9)]


class Scripted:
    def __init__(self, *tokens: str) -> None:
        self._tokens = tokens
        self.calls: list[UpstreamCall] = []
        self.running = 0
        self.most_running = 0

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        self.calls.append(call)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        for token in self._tokens:
            entry = TokenLogprob(token, -0.123456, top_logprobs=[TopLogprob(token, -0.123456), TopLogprob("x", -3.0)])
            yield [Chunk(choices=[ChunkChoice(delta={"content": token}, logprobs=Logprobs(content=[entry]))])]
        usage = Usage(prompt_tokens=9, completion_tokens=len(self._tokens) + 1)
        yield [Chunk(choices=[ChunkChoice(finish_reason="stop")]), Chunk(usage=usage)]
        self.running -= 1


def asking(at_once: int = 2) -> Asking:
    return Asking("m", Price(Decimal(1), Decimal(2)), at_once, clock=lambda: 1.0, wall=lambda: 1000.0)


async def ask(
    backend: Scripted, chains: list[tuple[Ask, ...]], kept: Sequence[Row] = (), at_once: int = 2
) -> list[Row]:
    return await record(backend, chains, asking(at_once), kept=kept, on_row=lambda _: None)


async def test_an_answer_is_recorded_token_by_token_graded_and_priced() -> None:
    seen: list[Row] = []
    rows = await record(Scripted("Pa", "ris"), [(Ask(FACT, GREEDY),)], asking(), kept=[], on_row=seen.append)
    assert rows == seen
    row = rows[0]
    assert (row.correct, row.text, row.finish_reason, row.form) == (True, "Paris", "stop", "greedy")
    assert (row.tokens, row.logprobs, row.token_s) == (["Pa", "ris"], [-0.1235, -0.1235], [0.0, 0.0])
    assert row.tops == [[-0.1235, -3.0], [-0.1235, -3.0]]
    assert (row.prompt_tokens, row.completion_tokens, row.cost_microusd) == (9, 3, 15)
    assert (row.started_s, row.ttft_s, row.seconds) == (1000.0, 0.0, 0.0)


async def test_few_chains_run_at_once() -> None:
    backend = Scripted("Rome")
    rows = await ask(backend, plan(QUESTIONS, samples=0, sampled=0, repeat=0), at_once=3)
    assert backend.most_running == 3
    assert {row.question_id for row in rows} == {one.question_id for one in QUESTIONS}
    assert not any(row.correct for row in rows)


async def test_what_is_kept_is_not_asked_again() -> None:
    chains = plan(QUESTIONS, samples=2, sampled=3, repeat=2)
    first = await ask(Scripted("Paris"), chains)
    rest = Scripted("Paris")
    again = await ask(rest, chains, kept=first[:10])
    assert len(rest.calls) == len(again) == len(first) - 10
    assert {(row.question_id, row.form) for row in [*first[:10], *again]} == {
        (row.question_id, row.form) for row in first
    }


async def test_a_confidence_is_asked_of_the_answer_and_judged_with_it() -> None:
    backend = Scripted("Paris")
    rows = await ask(backend, [(Ask(FACT, GREEDY), Ask(FACT, CONFIDENCE))])
    assert [message["content"] for message in backend.calls[1].chat.wire["messages"]] == [
        FACT.text,
        "Paris",
        ASK_CONFIDENCE,
    ]
    assert [row.correct for row in rows] == [True, True]


def test_a_plan_holds_every_form_of_the_chosen_questions() -> None:
    forms: dict[str, list[str]] = {}
    for chain in plan(QUESTIONS, samples=2, sampled=3, repeat=2):
        for one in chain:
            forms.setdefault(one.form, []).append(one.question.question_id)
    assert {form: len(ids) for form, ids in forms.items()} == {
        GREEDY: 9,
        CONFIDENCE: 3,
        "sample-1": 3,
        "sample-2": 3,
        AGAIN: 2,
    }
    assert set(forms[AGAIN]) < set(forms[CONFIDENCE]) == set(forms["sample-1"])


def test_a_plan_depends_on_ids_alone() -> None:
    one = plan(QUESTIONS, samples=1, sampled=4, repeat=1)
    assert one == plan(list(reversed(QUESTIONS)), samples=1, sampled=4, repeat=1)


def test_a_question_is_asked_greedily_and_bounded_with_alternatives() -> None:
    call = call_of(Ask(FACT, GREEDY), "m")
    assert (call.wire["temperature"], call.max_tokens, call.top_logprobs) == (0, MAX_TOKENS, 5)
    assert not call.wants_json


def test_a_sample_has_a_seed_of_its_own() -> None:
    wires = [call_of(Ask(FACT, form), "m").wire for form in ("sample-1", "sample-2")]
    assert [(wire["temperature"], wire["seed"]) for wire in wires] == [(0.7, 1), (0.7, 2)]


def test_json_is_asked_for_in_a_schema() -> None:
    twin = Question("q1#json", "fact", "?", "contains_word", {"answers": ["Paris"]}, as_json=True)
    call = call_of(Ask(twin, GREEDY), "m")
    assert call.wants_json
    assert call.wire["response_format"]["json_schema"]["strict"] is True
    own = Question("q2", "own", "?", "json_schema", {"schema": {"type": "array"}}, as_json=True)
    assert call_of(Ask(own, GREEDY), "m").wire["response_format"]["json_schema"]["schema"] == {"type": "array"}
    assert not call_of(Ask(twin, CONFIDENCE), "m", "{}").wants_json


def test_a_stated_confidence_is_the_only_number_up_to_a_hundred() -> None:
    assert [stated_confidence(text) for text in ("85", "I say 7.5%.", "2 + 3", "150", "sure")] == [
        0.85,
        0.075,
        None,
        None,
        None,
    ]


async def test_a_run_survives_its_file_and_a_cut_line(tmp_path: Path) -> None:
    rows = await ask(Scripted("Paris"), plan(QUESTIONS[:2], samples=0, sampled=0, repeat=0))
    path = tmp_path / "run.jsonl"
    assert kept_rows(path) == []
    append_row(path, rows[0])
    with path.open("ab") as file:
        file.write(b'{"question_id": "cu')
    assert kept_rows(path) == rows[:1]
    append_row(path, rows[1])
    assert kept_rows(path) == rows


def test_a_line_that_is_no_answer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ConfigError, match=r"run\.jsonl:1: "):
        kept_rows(path)
