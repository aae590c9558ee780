"""One record a request, whatever its end; the sum over attempts is what it cost."""

import asyncio

import pytest

from tests.support.gateway import Running, ask, until
from tests.support.replies import Problem, Say
from tests.support.upstream import Upstream


async def found(gateway: Running, headers: object) -> dict[str, object]:
    decision = "dec_" + str(headers["x-request-id"]).removeprefix("req_")  # type: ignore[index]
    return (await gateway.get(f"/v1/headrace/decisions/{decision}"))[1]


async def test_a_failed_request_is_recorded_with_its_status(gateway: Running, small: Upstream, large: Upstream) -> None:
    small.always(Problem(500))
    large.always(Problem(500))
    status, _, headers = await gateway.post("/v1/chat/completions", ask())
    record = await found(gateway, headers)
    assert (status, record["status"], record["outcome"]) == (502, 502, "upstream_error")


async def test_a_client_that_left_is_recorded_as_cancelled(gateway: Running, large: Upstream) -> None:
    large.always(Say(["a"] * 100, first_s=0.05, delay_s=0.02))
    request = asyncio.ensure_future(gateway.stream(ask("hard")))
    await large.arrived.wait()
    request.cancel()
    await large.seen[0].ended.wait()
    await until(lambda: b'outcome="cancelled"' in gateway.system.metrics.render()[0])


async def test_the_cost_of_a_rejected_draft_is_in_the_header_and_the_record(gateway: Running, small: Upstream) -> None:
    small.always(Say([("No", -5.0)], prompt_tokens=1000))
    _, _, headers = await gateway.post("/v1/chat/completions", ask())
    record = await found(gateway, headers)
    attempts = record["attempts"]
    assert isinstance(attempts, list)
    assert record["cost_microusd"] == sum(attempt["cost_microusd"] for attempt in attempts)
    assert float(headers["x-headrace-cost-usd"]) == pytest.approx(int(str(record["cost_microusd"])) / 1e6)
    assert attempts[0]["cost_microusd"] >= 100


async def test_no_prompt_text_is_in_a_record(gateway: Running) -> None:
    _, _, headers = await gateway.post("/v1/chat/completions", ask("my secret question"))
    assert "secret" not in str(await found(gateway, headers))
