from tests.support.gateway import Running


async def test_a_request_keeps_the_revision_it_was_given(gateway: Running) -> None:
    held = gateway.system.revisions.current
    gateway.system.swap(gateway.settings)
    assert gateway.system.revisions.current is not held
    assert held.is_live("s")
    assert not held.is_live("nobody")
    assert held.liveness() == {"s": True, "l": True}
    assert held.embedding_id == "mini"


async def test_an_unchanged_backend_survives_a_swap(gateway: Running) -> None:
    held = gateway.system.revisions.current
    gateway.system.swap(gateway.settings)
    assert gateway.system.revisions.current.backends["s"] is held.backends["s"]
