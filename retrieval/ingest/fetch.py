"""Fetches one document from an allowed host: no proxy, no cookies, every redirect checked, bytes and time bounded."""

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urljoin

import aiohttp
import msgspec

from headrace.contracts.errors import BackendStatus, BackendTimeout, BackendUnavailable, Forbidden, InvalidRequest
from headrace.retrieval.ingest import refusals
from headrace.retrieval.ingest.egress import Allowed, CheckedResolver
from headrace.retrieval.ingest.formats import by_name
from headrace.retrieval.ingest.limits import Limits
from headrace.retrieval.ingest.names import label

_MOST_REDIRECTS: Final = 5
_SECONDS: Final = 60.0
_OK: Final = 200
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_EXTENSIONS: Final[Mapping[str, str]] = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}


class Fetched(msgspec.Struct, frozen=True):
    """What a URL gave. name: of the document, with the extension of its type. url: where it was in the end."""

    name: str
    url: str
    content: bytes


async def fetch(url: str, allowed: Allowed, limits: Limits, *, seconds: float = _SECONDS) -> Fetched:
    """Return the document at a URL; Forbidden for a host or address that is not allowed, also behind a redirect."""
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(allowed), use_dns_cache=False, force_close=True)
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "headrace"},
            ) as session,
        ):
            return await _follow(session, url, allowed, limits)
    except TimeoutError as exc:
        raise BackendTimeout(f"{url}: not here in {seconds:g} s") from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise BackendUnavailable(f"{url}: cannot be fetched ({type(exc).__name__})") from exc


async def _follow(session: aiohttp.ClientSession, url: str, allowed: Allowed, limits: Limits) -> Fetched:
    for _ in range(_MOST_REDIRECTS + 1):
        allowed.check_url(url)
        async with session.get(url, allow_redirects=False) as response:
            if response.status in _REDIRECTS and "Location" in response.headers:
                url = urljoin(url, response.headers["Location"])
                continue
            if response.status != _OK:
                raise BackendStatus(f"{url} answers {response.status}", upstream_status=response.status)
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise InvalidRequest(f"{url} sends packed bytes though none were asked for", code="invalid_file")
            content = await _body(response, limits)
            return Fetched(_name(url, response.content_type), url, content)
    raise Forbidden(f"{url}: more than {_MOST_REDIRECTS} redirects")


async def _body(response: aiohttp.ClientResponse, limits: Limits) -> bytes:
    if response.content_length is not None and response.content_length > limits.max_bytes:
        raise refusals.too_many_bytes(response.content_length, limits.max_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limits.max_bytes:
            raise refusals.too_many_bytes(size, limits.max_bytes)
        parts.append(part)
    return b"".join(parts)


def _name(url: str, content_type: str) -> str:
    path = PurePosixPath(unquote(url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0].partition("://")[2]))
    name = label(str(path))
    return name if by_name(name) is not None else name + _EXTENSIONS.get(content_type, "")
