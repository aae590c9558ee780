"""Asks endpoints whether they are there, without making them generate: at start and at a reload."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import aiohttp

from headrace.contracts.errors import BackendUnavailable
from headrace.gateway.readiness import Readiness
from headrace.gateway.settings.tree import UrlBackend

TIMEOUT_S: Final = 5.0
PAUSE_S: Final = 1.0
_SERVER_ERROR: Final = 500


async def answers(session: aiohttp.ClientSession, backend: UrlBackend) -> bool:
    """Tell whether at least one endpoint of a backend speaks HTTP and is not failing."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_one(session, url, backend.api_key)) for url in backend.urls]
    return any(task.result() for task in asked)


async def require(session: aiohttp.ClientSession, backends: Sequence[UrlBackend]) -> None:
    """Raise BackendUnavailable for the first backend of which no endpoint answers."""
    for backend in backends:
        if not await answers(session, backend):
            raise BackendUnavailable(f"backend {backend.id!r}: none of its {len(backend.urls)} endpoints answers")


async def watch(
    session: aiohttp.ClientSession,
    backends: Mapping[str, UrlBackend | None],
    *,
    is_up: Callable[[str], bool],
    readiness: Readiness,
) -> None:
    """Note each backend once it has answered, and return when all have. None stands for an engine of ours."""
    waiting = dict(backends)
    while waiting:
        for name, backend in list(waiting.items()):
            if is_up(name) and (backend is None or await answers(session, backend)):
                readiness.answered(name)
                del waiting[name]
        if waiting:
            await asyncio.sleep(PAUSE_S)


async def _one(session: aiohttp.ClientSession, url: str, api_key: str | None) -> bool:
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with session.get(
            f"{url.rstrip('/')}/models", headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            return answer.status < _SERVER_ERROR
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
