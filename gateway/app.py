"""The gateway as an ASGI callable: who asks comes first, then hot routes by path, then FastAPI for the rest.

Default deny: apart from the health checks nothing is reached without a principal. The path is the one of the ASGI
scope; the URL and the Host header decide nothing but whether the host is one of ours.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from headrace.contracts.errors import Forbidden, HeadraceError, InvalidRequest, Overloaded
from headrace.contracts.principal import Principal
from headrace.gateway.auth import Headers
from headrace.gateway.exchange import Exchange, Scope
from headrace.gateway.readiness import Readiness
from headrace.gateway.responses import MethodNotAllowed, guarded
from headrace.gateway.revisions import Revisions
from headrace.gateway.routes.answers import Handler

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/livez"})
SCOPES: Final = (
    ("/v1/chat/completions", "chat"),
    ("/v1/completions", "chat"),
    ("/v1/embeddings", "embeddings"),
    ("/v1/models", "models"),
    ("/v1/files", "files"),
    ("/v1/vector_stores", "vector_stores"),
    ("/v1/headrace/explain", "explain"),
    ("/v1/headrace/decisions/", "decisions"),
    ("/v1/headrace/feedback", "feedback"),
)
LAST_SCOPE: Final = "admin"
HOT_METHOD: Final = "POST"

ASGIApp = Callable[[Scope, Any, Any], Any]


class Gateway:
    """Pure ASGI down to the socket. Built by gateway.wiring; safe to share between tasks.

    hot: path -> handler of a POST. objects: path -> handler of everything at or below it, two words deep. rare: the
    FastAPI application. refused: told path and status of what was refused.
    running: hot requests under way; idle is set while there are none.
    """

    def __init__(
        self,
        *,
        revisions: Revisions,
        readiness: Readiness,
        hot: Mapping[str, Handler],
        objects: Mapping[str, Handler],
        rare: ASGIApp,
        new_id: Callable[[], str],
        clock: Callable[[], float],
        refused: Callable[[HeadraceError, str], None],
    ) -> None:
        self._revisions = revisions
        self._readiness = readiness
        self._hot = dict(hot)
        self._objects = dict(objects)
        self._rare = rare
        self._new_id = new_id
        self._clock = clock
        self._refused = refused
        self.running = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI callables)
        """Serve one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, id_hex=self._new_id(), clock=self._clock)
        error = await guarded(exchange, self._serve(exchange))
        if error is not None and not exchange.recorded:
            self._refused(error, scope["path"])

    async def _serve(self, exchange: Exchange) -> None:
        scope = exchange.scope
        self._check_host(exchange)
        path, method = scope["path"], scope["method"]
        if path not in OPEN_PATHS:
            exchange.principal = self._admit(scope["headers"], path)
        handler = self._hot.get(path)
        if handler is None and (objects := self._objects.get("/".join(path.split("/", 3)[:3]))) is not None:
            await self._answer(exchange, objects)
        elif handler is None:
            scope.setdefault("state", {})["principal"] = exchange.principal
            await self._rare(scope, exchange.receive, exchange.tagging_send())
        elif method != HOT_METHOD:
            raise MethodNotAllowed(method, path, HOT_METHOD)
        else:
            await self._answer(exchange, handler)

    async def _answer(self, exchange: Exchange, handler: Handler) -> None:
        if self._readiness.draining:
            raise Overloaded("the server is shutting down", retry_after_s=1.0)
        self.running += 1
        self.idle.clear()
        try:
            await handler(exchange)
        finally:
            self.running -= 1
            if not self.running:
                self.idle.set()

    def _admit(self, headers: Headers, path: str) -> Principal:
        principal = self._revisions.current.auth.authenticate(headers)
        needed = scope_of(path)
        if not principal.allows(needed):
            raise Forbidden(f"this key lacks the scope '{needed}'", code="insufficient_scope")
        return principal

    def _check_host(self, exchange: Exchange) -> None:
        """Refuse names that are not ours, so that a web page cannot reach a loopback gateway by a name of its own."""
        trusted = self._revisions.current.settings.server.trusted_hosts
        if not trusted:
            return
        host = exchange.header(b"host") or b""
        name = host[: host.rfind(b"]") + 1] if host.startswith(b"[") else host.partition(b":")[0]
        if name.lower().decode("latin-1") not in trusted:
            raise InvalidRequest(
                "the Host header names no host of this gateway; see server.trusted_hosts", code="unknown_host"
            )


def scope_of(path: str) -> str:
    """Return the scope a key needs for a path; what nobody listed needs the last one."""
    return next(
        (scope for prefix, scope in SCOPES if path == prefix or path.startswith(f"{prefix.rstrip('/')}/")), LAST_SCOPE
    )
