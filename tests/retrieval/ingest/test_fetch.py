import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from headrace.contracts.errors import BackendStatus, BackendTimeout, BackendUnavailable, Forbidden, InvalidRequest
from headrace.retrieval.ingest.egress import Allowed
from headrace.retrieval.ingest.fetch import fetch
from headrace.retrieval.ingest.limits import Limits

HERE = Allowed(["127.0.0.1"])


async def page(_: web.Request) -> web.Response:
    return web.Response(text="<p>hello", content_type="text/html")


async def redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.query["to"])


async def ring(_: web.Request) -> web.Response:
    raise web.HTTPFound("/ring")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def packed(_: web.Request) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})


async def headers(request: web.Request) -> web.Response:
    return web.json_response(dict(request.headers))


@pytest.fixture
async def at() -> AsyncIterator[Callable[[str], str]]:
    app = web.Application()
    for path, handler in (
        ("/guide/page", page),
        ("/redirect", redirect),
        ("/ring", ring),
        ("/endless", endless),
        ("/slow", slow),
        ("/packed", packed),
        ("/headers.json", headers),
    ):
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield lambda path: f"http://127.0.0.1:{port}{path}"
    await runner.cleanup()


async def test_a_page_is_named_by_its_address_and_type(at: Callable[[str], str]) -> None:
    found = await fetch(at("/guide/page?x=1"), HERE, Limits())
    assert found.content == b"<p>hello"
    assert found.name.endswith("/guide/page.html")


async def test_nothing_of_this_machine_is_sent(at: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    found = await fetch(at("/headers.json"), HERE, Limits())
    assert b'"User-Agent": "headrace"' in found.content
    assert b"Cookie" not in found.content


async def test_a_redirect_within_what_is_allowed_is_followed(at: Callable[[str], str]) -> None:
    assert (await fetch(at("/redirect?to=/guide/page"), HERE, Limits())).url == at("/guide/page")


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest/meta-data", "http://localhost/", "http://[::1]/", "http://0x7f000002/"]
)
async def test_a_redirect_elsewhere_is_refused(at: Callable[[str], str], to: str) -> None:
    with pytest.raises(Forbidden):
        await fetch(at(f"/redirect?to={to}"), HERE, Limits())


async def test_a_redirect_to_a_file_is_refused(at: Callable[[str], str]) -> None:
    with pytest.raises(InvalidRequest):
        await fetch(at("/redirect?to=file:///etc/passwd"), HERE, Limits())


async def test_an_allowed_name_that_leads_to_a_private_address_is_refused(at: Callable[[str], str]) -> None:
    url = at("/guide/page").replace("127.0.0.1", "localhost")
    with pytest.raises(Forbidden, match="no public address"):
        await fetch(url, Allowed(["localhost"]), Limits())


async def test_redirects_in_a_ring_end(at: Callable[[str], str]) -> None:
    with pytest.raises(Forbidden, match="more than 5 redirects"):
        await fetch(at("/ring"), HERE, Limits())


async def test_bytes_and_time_are_bounded(at: Callable[[str], str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await fetch(at("/endless"), HERE, Limits(max_bytes=200_000))
    assert caught.value.code == "file_too_large"
    with pytest.raises(InvalidRequest):
        await fetch(at("/guide/page"), HERE, Limits(max_bytes=3))
    with pytest.raises(BackendTimeout):
        await fetch(at("/slow"), HERE, Limits(), seconds=0.1)


async def test_what_the_server_says_is_told(at: Callable[[str], str]) -> None:
    with pytest.raises(BackendStatus, match="404"):
        await fetch(at("/nothing"), HERE, Limits())
    with pytest.raises(InvalidRequest, match="packed"):
        await fetch(at("/packed"), HERE, Limits())


async def test_a_host_that_does_not_answer_is_told() -> None:
    with pytest.raises(BackendUnavailable, match="cannot be fetched"):
        await fetch("http://127.0.0.1:1/", HERE, Limits())
