import aiohttp

from benchmarks.cascade.ttft import measure
from tests.support.replies import Say
from tests.support.upstream import Upstream


async def test_every_question_is_asked_both_ways() -> None:
    async with Upstream() as gateway, Upstream() as direct, aiohttp.ClientSession() as session:
        for one in (gateway, direct):
            one.always(Say(["", "Pa", "ris"], delay_s=0))
        pairs = await measure(
            session,
            ["What is the capital of France?", "What is the capital of Spain?"],
            gateway=gateway.url,
            direct=direct.url,
            direct_model="small",
            virtual_model="headrace/auto",
        )
    assert len(pairs) == 2
    assert all(one.direct_s > 0 and one.gateway_s > 0 for one in pairs)
    assert [seen.json["model"] for seen in direct.seen] == ["small", "small"]
    assert [seen.json["model"] for seen in gateway.seen] == ["headrace/auto", "headrace/auto"]
