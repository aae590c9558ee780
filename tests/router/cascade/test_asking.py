import asyncio

import pytest

from headrace.contracts.errors import BackendUnavailable, Overloaded
from headrace.contracts.routing import Target
from headrace.models.backends.fake import Script
from headrace.router.cascade.asking import Asker, Heard
from headrace.router.cascade.context import RunContext
from tests.support.cascade import BAD, OpenDoor, Rig, ScriptedJudge, plan
from tests.support.routing import CHAT, call, card
from tests.support.virtual_time import run_virtual

STREAM = call(stream=True, include_usage=True)


async def ask(rig: Rig, asked: object = STREAM, target: Target | None = None, deadline_s: float = 60.0) -> Heard:
    clock = asyncio.get_running_loop().time
    asker = Asker(rig.backends, rig.judge, rig.door, clock)
    context = RunContext("req_1", clock(), clock() + deadline_s, cache_salt="salt", affinity="talk")
    return await asker.ask(
        asked, context, rig.trail, target or plan("small").targets[0], prompt_tokens=10, domain="chat"
    )


def test_a_stream_is_asked_for_whole_and_nothing_is_committed() -> None:
    async def main() -> None:
        rig = Rig("small")
        rig["small"].always(Script(tokens=("It is", " 7.")))
        heard = await ask(rig)
        assert (heard.text, heard.answer, heard.confidence, heard.fault) == ("It is 7.", "7", 0.9, "")
        assert not rig.trail, "who asked decides what becomes of it"
        sent = rig["small"].calls[0]
        assert (sent.chat.stream, sent.chat.include_usage, sent.probe) == (False, False, True)
        assert (sent.cache_salt, sent.affinity) == ("salt", "talk")
        assert rig.door.running == 0

    run_virtual(main())


def test_the_attempt_ends_with_the_answer_and_not_with_the_decision_on_it() -> None:
    async def main() -> None:
        rig = Rig("small")
        rig["small"].always(Script(first_s=2.0))
        heard = await ask(rig)
        await asyncio.sleep(5.0)
        heard.record.close("outvoted")
        assert [(one.outcome, one.ended_s) for one in rig.trail] == [("outvoted", 2.0)]

    run_virtual(main())


def test_an_answer_that_cannot_be_judged_has_no_confidence() -> None:
    async def main() -> None:
        assert (await ask(Rig("small", judge=ScriptedJudge(calibrated=False)))).confidence is None
        rig = Rig("small")
        rig["small"].always(Script(logprobs=False))
        assert (await ask(rig)).confidence is None
        mute = Target("small", "small-backend", card("small-model", capabilities=CHAT - {"logprobs"}), judged=False)
        assert (await ask(Rig("small"), target=mute)).confidence is None

    run_virtual(main())


def test_a_broken_form_is_told_beside_a_weak_confidence() -> None:
    async def main() -> None:
        rig = Rig("small")
        rig["small"].always(Script(tokens=(("no json", BAD),)))
        heard = await ask(rig, call(response_format={"type": "json_object"}))
        assert heard.fault == "the answer is not JSON"

    run_virtual(main())


def test_what_breaks_is_closed_as_failed_and_what_got_no_place_is_no_attempt() -> None:
    async def main() -> None:
        rig = Rig("small")
        rig["small"].always(Script(error=BackendUnavailable("gone")))
        with pytest.raises(BackendUnavailable):
            await ask(rig)
        assert rig.outcomes == ["failed"]
        full = Rig("small", door=OpenDoor(full=frozenset({"small"})))
        with pytest.raises(Overloaded):
            await ask(full)
        assert full.outcomes == []

    run_virtual(main())


def test_being_called_off_stops_the_engine() -> None:
    async def main() -> None:
        rig = Rig("small")
        rig["small"].always(Script(first_s=30.0))
        task = asyncio.ensure_future(ask(rig))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait((task,))
        assert (rig.outcomes, rig["small"].meter.aborted, rig.door.running) == (["cancelled"], 1, 0)

    run_virtual(main())
