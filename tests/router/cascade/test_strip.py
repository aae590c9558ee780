from headrace.contracts.chat import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    JsonObject,
    Logprobs,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from headrace.router.cascade.strip import Strip, strip_completion, wanted_logprobs
from headrace.router.cascade.tally import Tally
from tests.support.routing import call

LOGPROBS = Logprobs(content=[TokenLogprob("a", -1.0, top_logprobs=[TopLogprob("a", -1.0), TopLogprob("b", -2.0)])])


def chunk(delta: JsonObject, *, index: int = 0, finish: str | None = None, usage: Usage | None = None) -> Chunk:
    choice = ChunkChoice(index=index, delta=delta, logprobs=LOGPROBS, finish_reason=finish)
    return Chunk(choices=[choice], usage=usage, id="up", created=5, model="m")


def tally(usage: Usage | None = None) -> Tally:
    counted = Tally(3, lambda: 0.0)
    counted.add([Chunk(usage=usage)])
    return counted


def test_log_probabilities_of_the_probe_do_not_reach_a_client_that_did_not_ask() -> None:
    (kept,) = Strip(call(stream=True), is_probed=True).apply([chunk({"role": "assistant", "content": "a"})])
    assert kept.choices[0].logprobs is None
    assert (kept.id, kept.created, kept.model) == ("up", 5, "m")


def test_log_probabilities_are_cut_to_the_alternatives_the_client_asked_for() -> None:
    asked = call(stream=True, logprobs=True, top_logprobs=1)
    (kept,) = Strip(asked, is_probed=True).apply([chunk({"role": "assistant", "content": "a"})])
    logprobs = kept.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [top.token for top in logprobs.content[0].top_logprobs] == ["a"]
    assert wanted_logprobs(LOGPROBS, call(logprobs=True, top_logprobs=2)) is LOGPROBS


def test_the_role_comes_once_for_each_choice_and_is_added_where_it_is_missing() -> None:
    strip = Strip(call(stream=True), is_probed=False)
    batch = [chunk({"content": "a"}), chunk({"role": "assistant", "content": "b"}), chunk({"content": "c"}, index=1)]
    deltas = [each.choices[0].delta for each in strip.apply(batch)]
    assert deltas == [{"role": "assistant", "content": "a"}, {"content": "b"}, {"role": "assistant", "content": "c"}]


def test_completions_have_no_role() -> None:
    (kept,) = Strip(call(stream=True, endpoint="completions"), is_probed=False).apply([chunk({"content": "a"})])
    assert kept.choices[0].delta == {"content": "a"}


def test_empty_deltas_are_dropped_but_never_the_first_or_the_last() -> None:
    strip = Strip(call(stream=True), is_probed=True)
    batch = [
        chunk({"content": ""}),
        chunk({"content": ""}),
        chunk({}),
        chunk({"content": "a"}),
        chunk({}, finish="stop"),
    ]
    kept = strip.apply(batch)
    assert [each.choices[0].delta for each in kept] == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]
    assert kept[-1].choices[0].finish_reason == "stop"


def test_an_empty_delta_whose_log_probabilities_the_client_asked_for_stays() -> None:
    strip = Strip(call(stream=True, logprobs=True), is_probed=True)
    assert len(strip.apply([chunk({"content": ""}), chunk({"content": ""})])) == 2


def test_usage_goes_unless_it_was_asked_for_and_then_comes_once_at_the_end() -> None:
    usage = Usage(3, 2, 5)
    batch = [chunk({"content": "a"}, usage=Usage(3, 1, 4)), chunk({}, finish="stop", usage=usage), Chunk(usage=usage)]
    for include in (False, True):
        strip = Strip(call(stream=True, include_usage=include), is_probed=False)
        kept = [*strip.apply(batch), *strip.tail(tally(usage))]
        assert [each.usage for each in kept] == [None, None, *([usage] if include else [])]
        assert [bool(each.choices) for each in kept] == [True, True, *([False] if include else [])]


def test_usage_that_the_engine_never_sent_is_counted_for_the_client() -> None:
    (tail,) = Strip(call(stream=True, include_usage=True), is_probed=False).tail(tally())
    assert tail.usage is not None
    assert tail.usage.prompt_tokens == 3


def test_a_batch_with_nothing_to_strip_is_passed_on_as_it_is() -> None:
    strip = Strip(call(stream=True), is_probed=False)
    strip.apply([chunk({"role": "assistant", "content": ""})])
    batch = [chunk({"content": "a"}), chunk({"content": "b"})]
    assert strip.apply(batch) is batch


def test_the_upstreams_chunks_are_not_changed() -> None:
    original = chunk({"content": "a"}, usage=Usage(1, 1, 2))
    Strip(call(stream=True), is_probed=True).apply([original])
    assert original == chunk({"content": "a"}, usage=Usage(1, 1, 2))


def test_a_whole_answer_keeps_usage_and_loses_unasked_log_probabilities() -> None:
    whole = Completion(choices=[Choice(message={"content": "a"}, logprobs=LOGPROBS)], id="up")
    stripped = strip_completion(whole, call(), tally(Usage(3, 1, 4)))
    assert stripped.choices[0].logprobs is None
    assert stripped.usage == Usage(3, 1, 4)
    assert strip_completion(whole, call(logprobs=True, top_logprobs=5), tally()).choices[0].logprobs is LOGPROBS
