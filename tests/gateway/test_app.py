"""Who may in: default deny on every route, in every doubtful case."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import MethodType

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from headrace.gateway.app import OPEN_PATHS, scope_of
from tests.support.gateway import Running, ask, running, settings_for
from tests.support.upstream import Upstream

KEY = "a-key-of-sixteen-characters"
ALL = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
async def locked(tmp_path: Path, small: Upstream, large: Upstream) -> AsyncIterator[Running]:
    keys = {"HEADRACE_API_KEYS": KEY}
    async with running(settings_for(tmp_path, small.url, large.url, **keys), environ=keys) as gateway:
        yield gateway


def routes(gateway: Running) -> list[tuple[str, str]]:
    """Return (method, path) of everything the gateway serves, hot and rare."""
    rare = gateway.system.gateway._rare
    assert isinstance(rare, FastAPI)
    found = [
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in rare.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    objects = [
        (method, "/".join(pattern).replace("{}", "x"))
        for handler in gateway.system.gateway._objects.values()
        for pattern, methods in (handler.__self__._paths.items() if isinstance(handler, MethodType) else ())
        for method in methods
    ]
    return [*found, *objects, *(("POST", path) for path in gateway.system.gateway._hot)]


async def test_without_a_key_every_route_but_health_is_401(locked: Running) -> None:
    listed = routes(locked)
    assert len(listed) >= 10
    for method, path in listed:
        async with locked.http.request(method, locked.url + path) as answer:
            assert (answer.status == 401) == (path not in OPEN_PATHS), (method, path, answer.status)
            assert answer.headers["x-request-id"]


async def test_with_the_key_the_same_routes_answer(locked: Running) -> None:
    assert (await locked.get("/v1/models", **ALL))[0] == 200
    assert (await locked.post("/v1/chat/completions", ask(), **ALL))[0] == 200


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer  ö{KEY}", KEY, f"Bearer {KEY[:-1]}"]
)
async def test_a_doubtful_key_is_401_in_openais_shape(locked: Running, value: str) -> None:
    status, body, headers = await locked.get("/v1/models", authorization=value)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert headers["www-authenticate"] == "Bearer"


async def test_two_authorization_headers_are_401(locked: Running) -> None:
    async with locked.dial() as (reader, writer):
        line = f"authorization: Bearer {KEY}\r\n".encode()
        writer.write(b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n" + line + line + b"\r\n")
        assert (await reader.read(4096)).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("host", [b"127.0.0.1/healthz?", b"x/?", b"x/#", b"127.0.0.1/livez#"])
async def test_a_poisoned_host_header_opens_nothing(locked: Running, host: bytes) -> None:
    async with locked.dial() as (reader, writer):
        writer.write(b"GET /v1/models HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
        assert (await reader.read(4096)).split(b" ")[1] in {b"400", b"401"}


async def test_an_absolute_uri_is_judged_by_its_path(locked: Running) -> None:
    async with locked.dial() as (reader, writer):
        writer.write(b"GET http://elsewhere/v1/models?/healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert (await reader.read(4096)).split(b" ")[1] == b"401"


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/models/a/b", "models"),
        ("/v1/modelsx", "admin"),
        ("/metrics", "admin"),
        ("/anything/new", "admin"),
        ("/v1/headrace/decisions/dec_1", "decisions"),
        ("/v1/files", "files"),
        ("/v1/files/file-1/content", "files"),
        ("/v1/filesystem", "admin"),
        ("/v1/vector_stores/vs_1/search", "vector_stores"),
    ],
)
def test_a_path_nobody_listed_needs_the_last_scope(path: str, scope: str) -> None:
    assert scope_of(path) == scope


async def test_requests_at_once_never_mix(gateway: Running, small: Upstream) -> None:
    from tests.support.replies import Say  # noqa: PLC0415  (one test)

    small.always(lambda seen: Say([seen.json["messages"][0]["content"]]))

    async def one(mark: int) -> bool:
        text = (await gateway.stream(ask(f"marker-{mark}-end"))).decode()
        return text.count("marker-") == 1 and f"marker-{mark}-end" in text

    results: list[bool] = []
    for start in range(0, 24, 4):
        results += await asyncio.gather(*(one(mark) for mark in range(start, start + 4)))
    assert all(results)
