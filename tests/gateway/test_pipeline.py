"""Steps of the pipeline that no single part shows alone."""

from collections import Counter
from pathlib import Path

from tests.support.gateway import CONFIG, Running, ask, running, settings_for
from tests.support.replies import Say
from tests.support.upstream import Upstream


async def test_every_tenant_gets_its_own_opaque_cache_salt_and_the_caller_none(gateway: Running) -> None:
    auth = gateway.system.revisions.current.auth
    assert len(auth.cache_salt(gateway.system.gateway._revisions.current.auth.authenticate([]))) == 32


async def test_a_conversation_is_remembered_where_it_was_answered(gateway: Running, large: Upstream) -> None:
    await gateway.post("/v1/chat/completions", ask("hard"))
    turns = list(gateway.system.pipeline.conversations._turns.values())
    assert [(turn.tier, turn.difficulty) for turn in turns] == [("large", 0.9)]
    assert large.meter.requests == 1


async def test_what_no_tier_can_do_is_refused_before_any_model_is_called(gateway: Running, small: Upstream) -> None:
    status, body, _ = await gateway.post("/v1/chat/completions", ask("word " * 20_000))
    assert (status, body["error"]["param"]) == (400, "messages")
    assert small.meter.requests == 0


SPLIT = CONFIG.replace(
    "- {{id: default, use: small}}", "- {{id: default, use: {{strategy: weighted, tiers: {{small: 0.5, large: 0.5}}}}}}"
)


async def test_a_drawn_number_picks_the_tier_and_the_ledger_holds_its_probability(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    async with running(settings_for(tmp_path, small.url, large.url, SPLIT)) as gateway:
        seen: Counter[str] = Counter()
        for _ in range(24):
            _, _, headers = await gateway.post("/v1/chat/completions", ask())
            _, found, _ = await gateway.get(f"/v1/headrace/decisions/{headers['x-headrace-decision']}")
            assert found["plan"]["propensity"] == 0.5
            assert found["plan"]["scores"] == {"small": 0.5, "large": 0.5}
            seen[found["plan"]["targets"][0]["tier"]] += 1
    assert set(seen) == {"small", "large"}, "the chance of a miss is 2 to the power of -23"


async def test_a_conversation_stays_on_the_side_that_it_began_on(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    config = SPLIT.replace("deadline_s: 20}}", "deadline_s: 20}}\n    affinity: {{key: user}}")
    async with running(settings_for(tmp_path, small.url, large.url, config)) as gateway:
        explained = [
            (await gateway.post("/v1/headrace/explain", ask(user=f"user {i % 20}")))[1]["targets"][0]["tier"]
            for i in range(40)
        ]
    assert explained[:20] == explained[20:]
    assert set(explained) == {"small", "large"}


async def test_a_budget_is_spent_by_the_answers_and_written_to_the_ledger(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    use = "{{strategy: budget, use: large, else: small, usd_per_1k: 0.01}}"
    config = CONFIG.replace("- {{id: default, use: small}}", f"- {{{{id: default, use: {use}}}}}")
    tiers = []
    async with running(settings_for(tmp_path, small.url, large.url, config)) as gateway:
        for _ in range(40):
            _, _, headers = await gateway.post("/v1/chat/completions", ask())
            tiers.append(headers["x-headrace-tier"])
        _, found, _ = await gateway.get(f"/v1/headrace/decisions/{headers['x-headrace-decision']}")
        _, explained, _ = await gateway.post("/v1/headrace/explain", ask())
    assert tiers[0] == "large"
    assert "small" in tiers
    assert found["plan"]["pace"]["spent_microusd"] > 0
    assert explained["pace"]["spent_microusd"] > found["plan"]["pace"]["spent_microusd"]


async def test_a_deadline_learns_from_the_answers(tmp_path: Path, small: Upstream, large: Upstream) -> None:
    use = "{{strategy: latency, use: large, deadline_s: 5}}"
    config = CONFIG.replace("- {{id: default, use: small}}", f"- {{{{id: default, use: {use}}}}}")
    async with running(settings_for(tmp_path, small.url, large.url, config)) as gateway:
        _, before, _ = await gateway.post("/v1/headrace/explain", ask(stream=True))
        await gateway.stream(ask())
        _, after, _ = await gateway.post("/v1/headrace/explain", ask(stream=True))
    assert (before["scores"], "not measured yet: small, large" in before["reason"]) == ({}, True)
    assert 0 < after["scores"]["large"] < 5
    assert after["targets"][0]["tier"] == "large"


PANEL = CONFIG.replace(
    "- {{id: default, use: small}}",
    "- {{id: default, use: {{strategy: experts, top_k: 2, fuse: best_confidence}}}}",
)


async def test_experts_answer_side_by_side_and_every_answer_is_paid_for_and_recorded(
    tmp_path: Path, small: Upstream, large: Upstream
) -> None:
    small.always(Say([("It is 8", -5.0)]))
    large.always(Say([("It is 7", -0.1)]))
    async with running(settings_for(tmp_path, small.url, large.url, PANEL)) as gateway:
        _, body, headers = await gateway.post("/v1/chat/completions", ask())
        events = (await gateway.stream(ask())).decode()
        _, found, _ = await gateway.get(f"/v1/headrace/decisions/{headers['x-headrace-decision']}")
        _, explained, _ = await gateway.post("/v1/headrace/explain", ask())
        text = gateway.system.metrics.render()[0].decode()
    assert body["choices"][0]["message"]["content"] == "It is 7"
    assert "It is 7" in events
    assert "It is 8" not in events
    assert (headers["x-headrace-tier"], headers["x-headrace-attempts"]) == ("large", "2")
    assert found["plan"]["fuse"] == "best_confidence"
    assert {member["backend"] for member in found["plan"]["experts"]} == {"s", "l"}
    assert sorted(attempt["outcome"] for attempt in found["attempts"]) == ["committed", "outvoted"]
    assert float(headers["x-headrace-cost-usd"]) * 1e6 == found["cost_microusd"]
    assert found["cost_microusd"] == sum(attempt["cost_microusd"] for attempt in found["attempts"])
    assert found["wasted_tokens"] > 0
    assert explained["fuse"] == "best_confidence"
    assert 'headrace_attempts_total{model="s",outcome="outvoted",tier="small"} 2.0' in text
    assert 'headrace_commits_total{model="l",reason="fused",tier="large"} 2.0' in text
