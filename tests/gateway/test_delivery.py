"""What a client gets of a committed answer; dialects and streams have tests of their own."""

import pytest

from headrace.contracts.errors import BackendProtocol
from headrace.gateway.delivery import deliver
from headrace.gateway.recorder import Story
from headrace.router.cascade.answer import Answer
from tests.support.cascade import plan
from tests.support.gateway import Running, ask
from tests.support.replies import Say
from tests.support.upstream import Upstream


async def test_a_whole_answer_and_a_stream_carry_the_same_words_and_headers(gateway: Running, small: Upstream) -> None:
    small.always(Say(["It ", "is ", "7"]))
    _, body, headers = await gateway.post("/v1/chat/completions", ask())
    events = (await gateway.stream(ask())).decode()
    assert body["choices"][0]["message"]["content"] == "It is 7"
    assert [word in events for word in ("It ", "is ", "[DONE]")] == [True] * 3
    assert headers["x-headrace-tier"] == "small"


async def test_an_answer_without_words_is_the_upstreams_fault() -> None:
    made = plan("small")
    story = Story(None, None, type("Call", (), {"stream": False})(), None, made, 0.0)  # type: ignore[arg-type]
    with pytest.raises(BackendProtocol, match="gave no answer"):
        await deliver(story, Answer(made.targets[0], "whole"))
