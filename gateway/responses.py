"""Every error as the client sees it: OpenAI's body and status, and hints on trying again.

The one place that catches everything: what is not of our tree is logged by its kind and place, without its text, and
shown as an internal error. Messages shown never hold a path, an upstream's address or a key.
"""

import asyncio
import logging
import math
import re
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

import msgspec

from headrace.contracts.chat import JsonObject
from headrace.contracts.errors import (
    BackendError,
    BackendStatus,
    BackendTimeout,
    BackendUnavailable,
    DeadlineExceeded,
    EngineError,
    HeadraceError,
    Overloaded,
    RateLimited,
    RequestError,
)
from headrace.gateway.exchange import ClientLeft, Exchange, RequestTimeout
from headrace.gateway.streaming import error_event

MAX_MESSAGE: Final = 1_000
RETRY_AFTER_MAX_S: Final = 3_600.0

_LOG: Final = logging.getLogger("headrace.gateway")
_ENCODE: Final = msgspec.json.Encoder().encode
_ADDRESS: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+|(?<![\w/])/(?:[\w.@-]+/)+[\w.@-]*", re.IGNORECASE)
_SECRET: Final = re.compile(r"\b(?:sk|pk|hr|hf|key)[-_][A-Za-z0-9_-]{8,}|\bBearer\s+\S+", re.IGNORECASE)
_SHOWN: Final = (RequestError, Overloaded, DeadlineExceeded, RequestTimeout)
_CALLERS: Final = frozenset({400, 413, 422})
_INTERNAL: Final = "something went wrong here; quote the x-request-id when you report it"


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    status = 405

    def __init__(self, method: str, path: str, allowed: str) -> None:
        super().__init__(f"{method} is not allowed on {path[:200]}; use {allowed}", code="method_not_allowed")
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error ready to be sent. `retry` False: the same request cannot succeed by itself."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    retry: bool = True
    allowed: str = ""

    def body(self) -> JsonObject:
        """Return OpenAI's error object; all four keys always."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the hints for clients that try again by themselves."""
        lines: list[tuple[bytes, bytes]] = []
        if self.retry_after_s is not None:
            lines.append((b"retry-after", str(math.ceil(min(self.retry_after_s, RETRY_AFTER_MAX_S))).encode()))
        if not self.retry:
            lines.append((b"x-should-retry", b"false"))
        if self.allowed:
            lines.append((b"allow", self.allowed.encode()))
        if self.status == 401:  # noqa: PLR2004  (RFC 9110: a 401 names its scheme)
            lines.append((b"www-authenticate", b"Bearer"))
        return lines


def refusal(error: HeadraceError) -> Refusal:
    """Return what the client is shown for an error of the tree."""
    if isinstance(error, _SHOWN):
        return _shown(error)
    if isinstance(error, BackendError):
        return _attempt(error)
    if isinstance(error, EngineError):
        return Refusal(503, "the model is down", "server_error", code="engine_down", retry=False)
    return Refusal(500, _INTERNAL, "server_error", code="internal_error")


def _attempt(error: BackendError) -> Refusal:
    if isinstance(error, BackendStatus):
        return _upstream(error)
    if isinstance(error, BackendTimeout):
        return Refusal(504, "the model did not answer in time", "timeout_error", code="upstream_timeout")
    if isinstance(error, BackendUnavailable):
        wait_s = error.retry_after_s or 1.0
        return Refusal(
            503,
            "the model cannot be reached; try again",
            "server_error",
            code="upstream_unavailable",
            retry_after_s=wait_s,
        )
    return Refusal(502, "the model's answer broke off", "server_error", code="upstream_broken")


def clean(text: str) -> str:
    """Return a message without addresses, paths, keys or control characters, and not longer than MAX_MESSAGE."""
    text = _SECRET.sub("[hidden]", _ADDRESS.sub("[hidden]", text))
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_MESSAGE]


async def guarded(exchange: Exchange, work: Awaitable[None]) -> HeadraceError | None:
    """Run one request to its end; whatever it raises becomes an answer. Returns the error shown, if any."""
    try:
        await work
    except ClientLeft:
        return None
    except asyncio.CancelledError:
        await _show(exchange, Refusal(503, "the server is shutting down", "server_error", retry_after_s=1.0))
        raise
    except HeadraceError as exc:
        if not isinstance(exc, (*_SHOWN, BackendError)):
            _log(exchange, exc)
        await _show(exchange, refusal(exc))
        return exc
    except Exception as exc:  # noqa: BLE001  (the edge: nothing may leave in another shape)
        _log(exchange, exc)
        await _show(exchange, Refusal(500, _INTERNAL, "server_error", code="internal_error"))
        return HeadraceError(_INTERNAL)
    return None


async def _show(exchange: Exchange, shown: Refusal) -> None:
    if exchange.finished:
        return
    if exchange.streams:
        await exchange.end(error_event(shown.body()))
    elif not exchange.answered:
        close = shown.status in (408, 413, 415)
        await exchange.respond(shown.status, _ENCODE(shown.body()), shown.headers(), close=close)


def _shown(error: HeadraceError) -> Refusal:
    return Refusal(
        status=error.status,
        message=error.message[:MAX_MESSAGE] if isinstance(error, RequestError) else clean(error.message),
        type=error.type,
        param=error.param,
        code=error.code,
        retry_after_s=error.retry_after_s,
        retry=_may_retry(error),
        allowed=error.allowed if isinstance(error, MethodNotAllowed) else "",
    )


def _upstream(error: BackendStatus) -> Refusal:
    status = error.upstream_status
    if status in _CALLERS:
        return Refusal(400, clean(error.message), "invalid_request_error", retry=False)
    if status == 429:  # noqa: PLR2004
        return Refusal(
            429,
            "the model is over its rate limit",
            "rate_limit_error",
            code="rate_limit_exceeded",
            retry_after_s=error.retry_after_s,
        )
    if status in (500, 502, 503, 504, 529, 408):
        shown = status if status in (503, 504) else 502
        return Refusal(
            shown,
            "the model failed to answer",
            "server_error",
            code="upstream_error",
            retry_after_s=error.retry_after_s,
        )
    return Refusal(502, "the model refused the gateway's request", "server_error", code="upstream_error", retry=False)


def _may_retry(error: HeadraceError) -> bool:
    if isinstance(error, RateLimited):
        return error.code != "insufficient_quota"
    return isinstance(error, Overloaded | RequestTimeout)


def _log(exchange: Exchange, error: BaseException) -> None:
    """Log kind and place; the text of a foreign error may quote a prompt."""
    places = " < ".join(
        f"{frame.name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__)[-6:])
    )
    _LOG.error("request %s: %s at %s", exchange.request_id, type(error).__name__, places)
