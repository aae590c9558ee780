"""The client of the benchmarks against a gateway with a real library and a tiny embedding model."""

from pathlib import Path

import pytest

from benchmarks.rag.live import Live, named, search
from headrace.contracts.errors import SetupError
from tests.support.stores import CATS, DOGS, TAXES, serving

FILES = [
    (f"{name}.txt", text.encode(), {"about": name}) for name, text in (("cat", CATS), ("dog", DOGS), ("tax", TAXES))
]


async def test_documents_go_in_and_answers_come_out_with_what_was_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gateway, embedder):
        live = Live(gateway.url, gateway.http, poll_s=0.05)
        store = await live.store("pets", FILES)
        embedded = len(embedder.texts)
        assert await live.store("pets", FILES) == store, "a complete store is taken as it is"
        assert len(embedder.texts) == embedded
        answer = await live.ask("headrace/small", "cat", search(store, k=2))
        assert answer.hits[0] == CATS
        assert (answer.tier, answer.rule, answer.attempts) == ("small", "tier", 1)
        assert answer.cost_microusd > 0
        assert answer.seconds > 0
        only = await live.ask(
            "headrace/small", "cat", search(store, k=2, where={"type": "eq", "key": "about", "value": "tax"})
        )
        assert only.hits == (TAXES,)
        plain = await live.ask("headrace/small", "cat")
        assert plain.hits == ()


async def test_what_the_gateway_refuses_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gateway, _):
        live = Live(gateway.url, gateway.http, key="unused", poll_s=0.01)
        with pytest.raises(SetupError, match="404"):
            await live.ask("headrace/small", "cat", search("vs_unknown", k=2))
        with pytest.raises(SetupError, match="could not be ingested"):
            await live.store("bad", [("bad.pdf", b"%PDF-1.4 nonsense", {})])
        store = await live.store("mixed", [("bad.pdf", b"%PDF-1.4 nonsense", {}), FILES[0]], may_refuse=True)
        answer = await live.ask("headrace/small", "cat", search(store, k=2))
        assert answer.hits == (CATS,)


async def test_a_gateway_that_is_busy_is_asked_again_and_then_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gateway, embedder):
        live = Live(gateway.url, gateway.http, poll_s=0.01)
        store = await live.store("pets", FILES)
        embedder.is_away = True
        with pytest.raises(SetupError, match="503"):
            await live.ask("headrace/small", "cat", search(store, k=2))


def test_a_store_is_named_for_what_it_holds() -> None:
    assert named("pets", FILES) == named("pets", list(FILES))
    assert len({named("pets", FILES), named("pets", FILES[:2]), named("cats", FILES)}) == 3
