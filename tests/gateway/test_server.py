import asyncio
import socket
from dataclasses import replace

import pytest

from headrace.contracts.errors import ConfigError
from headrace.gateway.server import bind
from tests.support.gateway import Running, ask, until
from tests.support.replies import Say
from tests.support.upstream import Upstream


def test_a_busy_port_is_one_line_with_the_cure(gateway: Running) -> None:
    taken = replace(gateway.settings.server, port=gateway.port)
    with pytest.raises(ConfigError, match=r"in use.*--port or HEADRACE_PORT"):
        bind(taken)


def test_an_address_of_another_machine_is_told(gateway: Running) -> None:
    with pytest.raises(ConfigError, match=r"server\.host"):
        bind(replace(gateway.settings.server, host="192.0.2.1"))


async def test_running_answers_finish_and_new_ones_are_refused_while_draining(
    gateway: Running, large: Upstream
) -> None:
    large.always(Say(["a"] * 10, first_s=0.3, delay_s=0.05))
    running = asyncio.ensure_future(gateway.stream(ask("hard")))
    await large.arrived.wait()
    gateway.server.stop()
    await asyncio.sleep(0)
    async with gateway.http.get(gateway.url + "/readyz") as answer:
        assert answer.status == 503
    status, _, _ = await gateway.post("/v1/chat/completions", ask())
    assert status == 503
    assert (await running).endswith(b"data: [DONE]\n\n")
    await gateway.task
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", gateway.port)) != 0


async def test_a_reload_under_load_drops_nothing_and_keeps_the_last_good_config(
    gateway: Running, small: Upstream
) -> None:
    small.always(Say(["a"] * 5, first_s=0.3))
    running = [asyncio.ensure_future(gateway.stream(ask())) for _ in range(3)]
    await small.arrived.wait()
    file = gateway.settings.source
    before = gateway.system.revisions.current.policy.revision
    good = file.read_text()
    file.write_text(good.replace("tokens: 8", "tokens: 9"))
    await until(lambda: gateway.system.revisions.current.policy.revision != before)
    after = gateway.system.revisions.current.policy.revision
    assert all(text.endswith(b"data: [DONE]\n\n") for text in await asyncio.gather(*running))
    file.write_text(good + "\nnonsense: 1\n")
    await until(lambda: b'outcome="failed"' in gateway.system.metrics.render()[0])
    assert gateway.system.revisions.current.policy.revision == after
    assert await gateway.is_healthy()
