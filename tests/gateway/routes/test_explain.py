from tests.support.gateway import Running, ask
from tests.support.upstream import Upstream


async def test_explain_shows_the_plan_and_calls_no_model(gateway: Running, small: Upstream, large: Upstream) -> None:
    status, plan, _ = await gateway.post("/v1/headrace/explain", ask("a hard one"))
    assert status == 200
    assert plan["rule"] == "hard"
    assert [target["tier"] for target in plan["targets"]] == ["large"]
    assert plan["features"]["difficulty"] == 0.9
    assert plan["expected_cost_usd"] > 0
    assert (plan["propensity"], plan["scores"]) == (1.0, {})
    assert small.meter.requests == large.meter.requests == 0


async def test_explain_and_the_real_request_follow_one_rule(gateway: Running) -> None:
    _, plan, _ = await gateway.post("/v1/headrace/explain", ask())
    _, _, headers = await gateway.post("/v1/chat/completions", ask())
    assert headers["x-headrace-rule"] == plan["rule"]
    assert headers["x-headrace-tier"] == plan["targets"][0]["tier"]


async def test_explain_never_repeats_headers(gateway: Running) -> None:
    _, plan, _ = await gateway.post("/v1/headrace/explain", ask(), authorization="Bearer secret-of-mine")
    assert "headers" not in plan["features"]
