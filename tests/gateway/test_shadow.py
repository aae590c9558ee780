import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headrace.contracts.chat import Choice, Chunk, ChunkChoice, Completion
from headrace.contracts.errors import BackendTimeout
from headrace.contracts.policy import Affinity, Policy, Rule, Shadow
from headrace.gateway.delivery import MAX_HEARD_CHARS, Listener
from headrace.gateway.ledger.shadow import ShadowRecord
from headrace.gateway.shadow import Mirrored, Shadows
from headrace.models.backends.fake import Script
from headrace.router.cascade.asking import Asker
from headrace.router.cascade.context import RunContext
from headrace.router.policies.planner import make_plan
from tests.support.cascade import Rig, plan
from tests.support.gateway import CONFIG, Running, ask, running, settings_for, until
from tests.support.replies import Problem, Say
from tests.support.routing import auto, call, features, policy
from tests.support.upstream import Upstream
from tests.support.virtual_time import run_virtual

SHADOWED = CONFIG.replace(
    "deadline_s: 20}}", "deadline_s: 20}}\n    shadow: {{to: large, share: 1.0, max_in_flight: 1}}"
)


class Counted:
    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.cost = 0

    def shadowed(self, virtual_model: str, tier: str, outcome: str, cost_microusd: int = 0) -> None:
        assert (virtual_model, tier) == ("headrace/auto", "large")
        self.seen[outcome] += 1
        self.cost += cost_microusd


class Stage:
    """Shadows over a rig, with what they keep and count."""

    def __init__(self, *, room: bool = True) -> None:
        self.rig = Rig("small", "large")
        self.kept: list[ShadowRecord] = []
        self.counted = Counted()
        self.shadows = Shadows(
            keep=self.kept.append, metrics=self.counted, has_room=lambda _: room, wall=lambda: 1_700_000_000.0
        )

    def mirrored(self, **fields: Any) -> Mirrored:
        clock = asyncio.get_running_loop().time
        made = plan("small", "large")
        values: dict[str, Any] = {
            "decision_id": "dec_1",
            "tenant": "t",
            "call": call(stream=True),
            "plan": made,
            "target": made.targets[1],
            "context": RunContext("req_1", clock(), clock() + 10.0),
            "answered_by": "small-model",
            "answer": "7",
            "max_in_flight": 2,
            "asker": Asker(self.rig.backends, self.rig.judge, self.rig.door, clock),
        }
        return Mirrored(**{**values, **fields})

    async def settle(self) -> None:
        while self.shadows.running:  # noqa: ASYNC110  (virtual time)
            await asyncio.sleep(0.1)


def test_a_shadow_is_asked_whole_and_told_with_its_cost_and_whether_it_agrees() -> None:
    async def main() -> None:
        stage = Stage()
        stage.rig["large"].then(Script(tokens=("It is 7",), first_s=2.0), Script(tokens=("8",)))
        stage.shadows.send(stage.mirrored())
        await stage.settle()
        stage.shadows.send(stage.mirrored())
        await stage.settle()
        first, second = stage.kept
        assert (first.shadow, first.outcome, first.agrees, first.confidence) == ("dec_1", "ok", True, 0.9)
        assert first.attempt is not None
        assert (first.attempt.started_s, first.attempt.ended_s, first.attempt.tier) == (0.0, 2.0, "large")
        assert second.agrees is False
        assert stage.counted.seen == {"ok": 2}
        assert stage.counted.cost == sum(one.attempt.cost_microusd for one in stage.kept if one.attempt)
        assert not stage.rig["large"].calls[0].chat.stream

    run_virtual(main())


def test_there_is_nothing_to_compare_without_words() -> None:
    async def main() -> None:
        stage = Stage()
        stage.shadows.send(stage.mirrored(answer=""))
        await stage.settle()
        assert stage.kept[0].agrees is None

    run_virtual(main())


def test_too_many_at_once_and_a_tier_without_room_are_dropped_and_counted() -> None:
    async def main() -> None:
        stage = Stage()
        stage.rig["large"].always(Script(first_s=1.0))
        for _ in range(5):
            stage.shadows.send(stage.mirrored())
        assert stage.shadows.running == 2
        await stage.settle()
        assert stage.counted.seen == {"dropped": 3, "ok": 2}
        full = Stage(room=False)
        full.shadows.send(full.mirrored())
        assert (full.counted.seen, full.shadows.running, full.kept) == ({"dropped": 1}, 0, [])

    run_virtual(main())


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (Script(first_s=100.0), "timeout_error"),
        (Script(error=BackendTimeout("slow")), "timeout"),
    ],
)
def test_a_shadow_that_fails_is_told_and_harms_nobody(script: Script, outcome: str) -> None:
    async def main() -> None:
        stage = Stage()
        stage.rig["large"].always(script)
        stage.shadows.send(stage.mirrored())
        await stage.settle()
        assert [(one.outcome, one.agrees) for one in stage.kept] == [(outcome, None)]
        assert stage.shadows.running == 0

    run_virtual(main())


def test_stopping_cancels_what_runs_and_takes_no_more() -> None:
    async def main() -> None:
        stage = Stage()
        stage.rig["large"].always(Script(first_s=100.0))
        stage.shadows.send(stage.mirrored())
        await asyncio.sleep(1.0)
        await stage.shadows.stop()
        assert stage.rig["large"].meter.aborted == 1
        assert [one.outcome for one in stage.kept] == ["cancelled"]
        stage.shadows.send(stage.mirrored())
        assert stage.counted.seen == {"cancelled": 1, "dropped": 1}

    run_virtual(main())


def test_a_listener_remembers_the_first_choice_in_bounded_length() -> None:
    listener = Listener()
    listener.hear([Chunk([ChunkChoice(0, {"content": "So "}), ChunkChoice(1, {"content": "9"})]), Chunk()])
    listener.hear([Chunk([ChunkChoice(0, {"content": "7"}), ChunkChoice(0, {}, finish_reason="stop")])])
    assert listener.answer == "7"
    for _ in range(3):
        listener.hear([Chunk([ChunkChoice(0, {"content": "x" * MAX_HEARD_CHARS})])])
    assert sum(map(len, listener._words)) <= 2 * MAX_HEARD_CHARS
    whole = Listener()
    whole.hear_whole(Completion([Choice(0, {"content": None})]))
    assert whole.answer == ""
    whole.hear_whole(Completion([]))
    assert whole.answer == ""


def shadowing(share: float) -> Policy:
    return policy(
        auto(
            select=(Rule("default", None, "small"),),
            affinity=Affinity("conversation"),
            shadow=Shadow("large", share, 1),
        )
    )


def mirrors(rules: Policy, key: str, *, down: str = "") -> bool:
    made = make_plan(
        rules,
        call(),
        features(),
        is_live=lambda backend: backend != f"{down}-backend",
        is_calibrated=lambda _model, _domain: True,
        affinity=key,
    )
    return made.shadow is not None


def test_a_share_of_the_conversations_is_mirrored_each_always_or_never() -> None:
    rules = shadowing(0.25)
    keys = [str(number) for number in range(2_000)]
    chosen = [mirrors(rules, key) for key in keys]
    assert 400 < sum(chosen) < 600
    assert [mirrors(rules, key) for key in keys[:50]] == chosen[:50]
    assert all(mirrors(shadowing(1.0), key) for key in keys[:20])


def test_no_conversation_or_no_able_tier_is_no_shadow() -> None:
    assert not mirrors(shadowing(1.0), "")
    assert not mirrors(shadowing(1.0), "a", down="large")
    assert not mirrors(policy(), "a")


def ledger_lines(gateway: Running) -> list[dict[str, Any]]:
    folder = gateway.settings.ledger.folder
    return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


async def test_the_client_has_its_answer_before_the_shadow_is_asked_and_pays_for_its_own(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    small.always(Say(["It is 7"]))
    large.always(Say(["7"], first_s=0.2))
    async with running(settings_for(tmp_path, small.url, large.url, SHADOWED)) as gateway:
        _, body, headers = await gateway.post("/v1/chat/completions", ask())
        assert body["choices"][0]["message"]["content"] == "It is 7"
        assert gateway.system._shadows.running == 1
        await until(lambda: not gateway.system._shadows.running)
        await gateway.stream(ask())
        await until(lambda: not gateway.system._shadows.running and large.meter.finished == 2)
        text = gateway.system.metrics.render()[0].decode()
        await gateway.system.stop()
        lines = ledger_lines(gateway)
    shadows = [line for line in lines if "shadow" in line]
    first = next(line for line in lines if line.get("decision") == headers["x-headrace-decision"])
    assert {line["shadow"] for line in shadows} == {line["decision"] for line in lines if "decision" in line}
    assert [line["agrees"] for line in shadows] == [True, True]
    assert [attempt["tier"] for attempt in first["attempts"]] == ["small"]
    assert first["plan"]["shadow"]["tier"] == "large"
    assert 'outcome="ok",tier="large",virtual_model="headrace/auto"} 2.0' in text
    assert "7" not in {value for line in shadows for value in line.values() if isinstance(value, str)}


async def test_a_broken_shadow_and_a_full_one_do_not_touch_the_client(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    large.then(Problem(500), Say(["late"], first_s=60.0))
    async with running(settings_for(tmp_path, small.url, large.url, SHADOWED)) as gateway:
        assert (await gateway.post("/v1/chat/completions", ask()))[0] == 200
        await until(lambda: not gateway.system._shadows.running)
        for _ in range(3):
            assert (await gateway.post("/v1/chat/completions", ask()))[0] == 200
        text = gateway.system.metrics.render()[0].decode()
    assert 'outcome="http_500"' in text
    assert 'outcome="dropped",tier="large",virtual_model="headrace/auto"} 2.0' in text


async def test_what_the_shadows_own_tier_answered_is_not_asked_again(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    async with running(settings_for(tmp_path, small.url, large.url, SHADOWED)) as gateway:
        await gateway.post("/v1/chat/completions", ask("hard"))
        await asyncio.sleep(0)
        assert gateway.system._shadows.running == 0
    assert (large.meter.requests, small.meter.requests) == (1, 0)
