"""The HTTP session for rare calls: health checks, warm-up, embeddings. Answers of models go through wire.py."""

import aiohttp


def make_session(connect_s: float = 5.0) -> aiohttp.ClientSession:
    """Return a session without cookies, proxies and inflating. Needs a running loop; whoever makes it closes it."""
    return aiohttp.ClientSession(
        # Idle connections end before the 5 s after which uvicorn (vLLM) ends them: no race on a dead one.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept"),
        max_line_size=8190,
        max_field_size=8190,
    )
