"""Fixtures of the gateway's tests: two scripted upstreams and a running gateway over them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Running, running, settings_for
from tests.support.upstream import Upstream


@pytest.fixture
async def small() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def large() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def gateway(tmp_path: Path, small: Upstream, large: Upstream) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, small.url, large.url)) as gateway:
        yield gateway
