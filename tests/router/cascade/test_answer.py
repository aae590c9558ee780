import asyncio

import pytest

from headrace.contracts.chat import Completion
from headrace.models.backends.fake import Script
from headrace.router.cascade.answer import Answer
from tests.support.cascade import Rig, plan, text
from tests.support.routing import call
from tests.support.virtual_time import run_virtual

STREAM = call(stream=True)


def test_a_whole_answer_has_no_chunks_and_closes_quietly() -> None:
    answer = Answer(plan("small").targets[0], "whole", completion=Completion(choices=[]))
    with pytest.raises(TypeError, match="completion"):
        answer.chunks()
    asyncio.run(answer.aclose())


def test_a_stream_has_one_iterator() -> None:
    async def main() -> None:
        answer = await Rig("small").run(STREAM, plan("small"))
        assert answer.chunks() is answer.chunks()
        await answer.aclose()

    run_virtual(main())


def test_a_stream_read_to_its_end_is_committed_and_closing_it_again_changes_nothing() -> None:
    async def main() -> None:
        rig = Rig("small")
        answer, chunks = await rig.stream(STREAM, plan("small"))
        await answer.aclose()
        assert (text(chunks), rig.outcomes, rig.trail[0].completion_tokens) == ("Hello there.", ["committed"], 3)
        assert chunks[-1].choices[0].finish_reason == "stop"

    run_virtual(main())


def test_the_usage_chunk_comes_last_when_it_was_asked_for() -> None:
    async def main() -> None:
        rig = Rig("small")
        _, chunks = await rig.stream(call(stream=True, include_usage=True), plan("small"))
        assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
        usage = chunks[-1].usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (7, 3)

    run_virtual(main())


def test_a_reader_that_is_cancelled_stops_the_engine() -> None:
    async def main() -> None:
        rig = Rig("small")
        rig["small"].always(Script(tokens=("a",) * 9, delay_s=1.0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await rig.stream(STREAM, plan("small"))
        assert (rig.outcomes, rig["small"].meter.running, rig.door.running) == (["cancelled"], 0, 0)

    run_virtual(main())
