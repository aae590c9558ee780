import logging
import time

import pytest

from headrace.contracts.errors import (
    BackendProtocol,
    BackendStatus,
    BackendTimeout,
    BackendUnavailable,
    ConfigError,
    DeadlineExceeded,
    EngineError,
    HeadraceError,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
)
from headrace.gateway.exchange import Exchange
from headrace.gateway.responses import MethodNotAllowed, clean, guarded, refusal

LEAK = "http://10.0.0.1:9000/v1 /var/lib/headrace/model.bin sk-abcdefghijk Bearer xyz123"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("x"), 400, "invalid_request_error"),
        (NotFound("x"), 404, "invalid_request_error"),
        (MethodNotAllowed("GET", "/x", "POST"), 405, "invalid_request_error"),
        (RateLimited("x"), 429, "rate_limit_error"),
        (Overloaded("x"), 503, "overloaded_error"),
        (DeadlineExceeded("x"), 504, "timeout_error"),
        (BackendTimeout(LEAK), 504, "timeout_error"),
        (BackendUnavailable(LEAK), 503, "server_error"),
        (BackendProtocol(LEAK), 502, "server_error"),
        (BackendStatus(LEAK, upstream_status=400), 400, "invalid_request_error"),
        (BackendStatus(LEAK, upstream_status=401), 502, "server_error"),
        (BackendStatus(LEAK, upstream_status=429), 429, "rate_limit_error"),
        (BackendStatus(LEAK, upstream_status=500), 502, "server_error"),
        (EngineError(LEAK), 503, "server_error"),
        (ConfigError(LEAK), 500, "server_error"),
        (HeadraceError(LEAK), 500, "server_error"),
    ],
)
def test_every_error_has_openais_body_and_tells_nothing_of_the_inside(
    error: HeadraceError, status: int, kind: str
) -> None:
    shown = refusal(error)
    assert (shown.status, shown.type) == (status, kind)
    assert set(shown.body()["error"]) == {"message", "type", "param", "code"}
    assert not any(word in shown.message for word in ("10.0.0.1", "/var/", "sk-abc", "xyz123"))


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (InvalidRequest("x"), True),
        (RateLimited("x", code="insufficient_quota"), True),
        (RateLimited("x"), False),
        (Overloaded("x", retry_after_s=2.0), False),
        (EngineError("x"), True),
        (BackendStatus("x", upstream_status=403), True),
        (BackendUnavailable("x"), False),
    ],
)
def test_a_client_is_told_when_trying_again_cannot_help(error: HeadraceError, hint: bool) -> None:
    assert ((b"x-should-retry", b"false") in refusal(error).headers()) == hint


def test_retry_after_is_whole_seconds_and_bounded() -> None:
    assert (b"retry-after", b"3") in refusal(Overloaded("x", retry_after_s=2.2)).headers()
    assert (b"retry-after", b"3600") in refusal(BackendStatus("x", upstream_status=429, retry_after_s=1e9)).headers()


def test_cleaning_keeps_the_words_and_bounds_the_length() -> None:
    assert clean("maximum context length is 8192 tokens") == "maximum context length is 8192 tokens"
    assert len(clean("x" * 5_000)) == 1_000
    assert "\n" not in clean("a\nb")


async def test_a_foreign_error_is_500_and_its_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def broken() -> None:
        raise ZeroDivisionError("the prompt was: my secret")

    exchange = Exchange({"headers": []}, None, send, id_hex="0" * 32, clock=time.monotonic)
    with caplog.at_level(logging.ERROR):
        await guarded(exchange, broken())
    assert sent[0]["status"] == 500
    assert b"secret" not in bytes(sent[1]["body"])  # type: ignore[call-overload]
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text
