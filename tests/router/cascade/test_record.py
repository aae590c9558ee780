from headrace.contracts.chat import Chunk, ChunkChoice, Usage
from headrace.contracts.routing import Attempt
from headrace.router.cascade.context import RunContext
from headrace.router.cascade.record import OpenAttempt
from headrace.router.cascade.verdict import Verdict
from tests.support.cascade import plan


def opened(*times: float) -> tuple[OpenAttempt, list[Attempt]]:
    trail: list[Attempt] = []
    target = plan("small").targets[0]
    clock = iter(times).__next__
    return OpenAttempt(target, RunContext("req_1", 100.0, 200.0), trail, prompt_tokens=5, clock=clock), trail


def test_times_count_from_the_start_of_the_request() -> None:
    record, trail = opened(101.0, 101.5, 102.0, 104.0)
    record.admitted()
    record.tally.add([Chunk(choices=[ChunkChoice(delta={"content": "a"})])])
    record.close("committed")
    attempt = trail[0]
    assert (attempt.started_s, attempt.queued_s, attempt.ttft_s, attempt.ended_s) == (1.0, 0.5, 2.0, 4.0)


def test_an_attempt_enters_the_trail_once() -> None:
    record, trail = opened(101.0, 102.0)
    record.close("broken", why="cut")
    record.close("cancelled")
    assert [(attempt.outcome, attempt.why) for attempt in trail] == [("broken", "cut")]


def test_tokens_cost_what_the_card_says_in_whole_microusd() -> None:
    record, trail = opened(101.0, 102.0)
    record.tally.add([Chunk(usage=Usage(7, 3, 10))])
    record.close("rejected")
    assert (trail[0].cost_microusd, trail[0].usage_estimated) == (7 + 2 * 3, False)


def test_the_verdict_goes_into_the_attempt() -> None:
    record, trail = opened(101.0, 102.0)
    record.judged(Verdict(keep=True, reason="whole", confidence=0.9, why="short"))
    record.close("committed")
    attempt = trail[0]
    assert (attempt.commit_reason, attempt.confidence, attempt.why) == ("whole", 0.9, "short")


def test_work_that_was_never_reported_is_flagged() -> None:
    record, trail = opened(101.0, 102.0)
    record.close("cancelled", is_unmetered=True)
    assert (trail[0].prompt_tokens, trail[0].usage_estimated, trail[0].ttft_s) == (0, True, None)
