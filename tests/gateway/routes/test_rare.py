import json
from typing import Any

from headrace.gateway.routes.rare import RareRoutes
from tests.support.gateway import Running, ask
from tests.support.upstream import Upstream


async def no_decision(_decision: str, _tenant: str) -> dict[str, Any] | None:
    return None


async def test_the_official_client_lists_and_reads_models(gateway: Running) -> None:
    client = gateway.client()
    names = [model.id async for model in client.models.list()]
    assert {"headrace/auto", "headrace/small", "headrace/large", "s", "l", "gpt-4o-mini", "mini"} <= set(names)
    assert (await client.models.retrieve("headrace/auto")).owned_by == "headrace"


async def test_an_unknown_model_id_is_404(gateway: Running) -> None:
    status, body, _ = await gateway.get("/v1/models/no/such")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_an_unknown_decision_is_404(gateway: Running) -> None:
    status, body, _ = await gateway.get("/v1/headrace/decisions/dec_0")
    assert (status, body["error"]["code"]) == (404, "decision_not_found")


async def test_an_unknown_route_is_404_and_a_wrong_method_405_in_openais_shape(gateway: Running) -> None:
    for path, expected in (("/v1/nope", 404), ("/v1/chat/completions", 405)):
        status, body, headers = await gateway.get(path)
        assert status == expected
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert headers["x-request-id"].startswith("req_")
    status, body, headers = await gateway.post("/v1/models", {})
    assert (status, headers["allow"]) == (405, "GET")


async def test_health_shows_the_revision_and_what_is_live(gateway: Running) -> None:
    status, body, _ = await gateway.get("/healthz")
    assert (status, body["revision"]) == (200, gateway.settings.revision)
    assert body["tiers"] == {"small": True, "large": True}


async def test_readyz_is_503_while_draining(gateway: Running) -> None:
    assert (await gateway.get("/readyz"))[0] == 200
    gateway.system.readiness.draining = True
    status, body, _ = await gateway.get("/readyz")
    assert (status, body["waiting_for"]) == (503, ["shutting down"])
    status, body, headers = await gateway.post("/v1/chat/completions", ask())
    assert (status, headers["retry-after"]) == (503, "1")


async def test_readyz_tells_what_serves_less_well_and_stays_ready(gateway: Running) -> None:
    assert "degraded" not in (await gateway.get("/readyz"))[1]
    system = gateway.system
    routes = RareRoutes(
        revisions=system.revisions,
        readiness=system.readiness,
        find_decision=no_decision,
        render_metrics=system.metrics.render,
        started_s=0,
        degraded=lambda: ["backend small: a hook failed"],
    )
    answer = await routes.readyz()
    assert answer.status_code == 200
    assert json.loads(bytes(answer.body)) == {
        "ready": True, "waiting_for": [], "degraded": ["backend small: a hook failed"],
    }  # fmt: skip


async def test_metrics_count_what_was_asked(gateway: Running, small: Upstream) -> None:
    await gateway.post("/v1/chat/completions", ask())
    await gateway.post("/v1/chat/completions", {})
    async with gateway.http.get(gateway.url + "/metrics") as answer:
        page = await answer.text()
    assert 'headrace_requests_total{endpoint="chat",outcome="ok",status="200"} 1.0' in page
    assert 'headrace_requests_total{endpoint="chat",outcome="error",status="400"} 1.0' in page
    assert small.meter.requests == 1


async def test_the_frameworks_own_pages_are_off(gateway: Running) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await gateway.get(path))[0] == 404
