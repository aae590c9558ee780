"""Steps of the pipeline that no single part shows alone."""

from tests.support.gateway import Running, ask
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
