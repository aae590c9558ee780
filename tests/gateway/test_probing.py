from dataclasses import replace

import pytest

from headrace.contracts.errors import BackendUnavailable
from headrace.gateway.probing import answers, require, watch
from headrace.gateway.readiness import Readiness
from headrace.gateway.settings.tree import UrlBackend
from tests.support.gateway import Running
from tests.support.upstream import Upstream, refused_url


def backend(gateway: Running, *urls: str) -> UrlBackend:
    return replace(gateway.settings.urls[0], urls=urls)


async def test_one_endpoint_that_answers_is_enough(gateway: Running, small: Upstream) -> None:
    assert await answers(gateway.http, backend(gateway, refused_url(), small.url))
    assert not await answers(gateway.http, backend(gateway, refused_url()))


async def test_a_backend_nobody_answers_for_is_named_without_its_address(gateway: Running) -> None:
    with pytest.raises(BackendUnavailable, match="'s'") as caught:
        await require(gateway.http, [backend(gateway, refused_url())])
    assert "127.0.0.1" not in caught.value.message


async def test_a_probe_never_makes_a_model_generate(gateway: Running, small: Upstream) -> None:
    await watch(gateway.http, {"s": backend(gateway, small.url)}, is_up=lambda _: True, readiness=Readiness())
    assert small.meter.requests == 0
