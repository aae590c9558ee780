from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from headrace.contracts.chat import Chunk, ChunkChoice, Logprobs, TokenLogprob, Usage
from headrace.contracts.protocols import UpstreamCall
from headrace.router.training.labelled import Question
from headrace.router.training.record import MAX_TOKENS, Row, call_of, read_rows, record, write_rows

FACT = Question("q1", "fact", "What is the capital of France?", "contains_word", {"answers": ["Paris"]})


class Scripted:
    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self.calls: list[UpstreamCall] = []
        self.running = 0
        self.most_running = 0

    async def stream(self, call: UpstreamCall) -> AsyncGenerator[Sequence[Chunk], None]:
        self.calls.append(call)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        for token in self._tokens:
            logprobs = Logprobs(content=[TokenLogprob(token, -0.123456)])
            yield [Chunk(choices=[ChunkChoice(delta={"content": token}, logprobs=logprobs)])]
        yield [Chunk(choices=[ChunkChoice(finish_reason="stop")]), Chunk(usage=Usage(prompt_tokens=9))]
        self.running -= 1


def clock() -> float:
    return 1.0


async def test_an_answer_is_recorded_token_by_token_and_graded() -> None:
    seen: list[Row] = []
    rows = await record(Scripted(["Pa", "ris"]), "m", [FACT], at_once=2, clock=clock, on_row=seen.append)
    assert rows == seen
    row = rows[0]
    assert (row.correct, row.text, row.finish_reason, row.prompt_tokens) == (True, "Paris", "stop", 9)
    assert (row.tokens, row.logprobs, row.token_s) == (["Pa", "ris"], [-0.1235, -0.1235], [0.0, 0.0])


async def test_rows_come_in_the_order_of_the_questions_and_few_run_at_once() -> None:
    backend = Scripted(["Rome"])
    questions = [Question(f"q{n}", "fact", "?", "contains_word", {"answers": ["Paris"]}) for n in range(9)]
    rows = await record(backend, "m", questions, at_once=3, clock=clock, on_row=lambda _: None)
    assert [row.question_id for row in rows] == [one.question_id for one in questions]
    assert backend.most_running <= 3
    assert not any(row.correct for row in rows)


def test_a_question_is_asked_greedily_and_bounded() -> None:
    call = call_of(FACT, "m")
    assert call.wire["temperature"] == 0
    assert call.max_tokens == MAX_TOKENS
    assert not call.wants_json


def test_a_json_twin_asks_for_a_schema() -> None:
    twin = Question("q1#json", "fact", "?", "contains_word", {"answers": ["Paris"]}, as_json=True)
    call = call_of(twin, "m")
    assert call.wants_json
    assert call.wire["response_format"]["json_schema"]["strict"] is True


async def test_a_run_survives_its_file(tmp_path: Path) -> None:
    rows = await record(Scripted(["Paris"]), "m", [FACT], at_once=1, clock=clock, on_row=lambda _: None)
    for name in ("one", "two"):
        write_rows(tmp_path / name, rows)
    assert read_rows(tmp_path / "one") == rows
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
