import pytest

from headrace.gateway.routes.explain import ExplainRoute
from headrace.gateway.tools.kinds import standard_kinds
from headrace.gateway.wiring.system import load_artefacts
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


async def test_explain_tells_why_without_a_packaged_model_to_show(gateway: Running) -> None:
    _, plan, _ = await gateway.post("/v1/headrace/explain", ask("a hard one"))
    assert [one["tier"] for one in plan["candidates"]] == ["small", "large"]
    assert {"what": "difficulty", "was": 0.9, "op": "lte", "value": 0.5}.items() <= plan["counterfactuals"][0].items()
    assert (plan["contributions"], plan["gain"], plan["nearest"]) == (None, None, [])


async def test_explain_takes_the_packaged_difficulty_apart(gateway: Running) -> None:
    weights = load_artefacts().weights
    route = ExplainRoute(gateway.system.pipeline, standard_kinds(), weights)
    gateway.system.gateway._hot["/v1/headrace/explain"] = route.serve
    _, plan, _ = await gateway.post("/v1/headrace/explain", ask("a hard one"))
    assert sum(part["value"] for part in plan["contributions"]["parts"]) == pytest.approx(
        plan["contributions"]["score"]
    )
