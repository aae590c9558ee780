import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.models.backends.failures import MAX_RETRY_AFTER_S, clean, retry_after, status_error


def test_addresses_keys_paths_and_traces_never_pass() -> None:
    text = clean(
        "boom at https://u:p@host:1/x?key=1 with sk-abc123456789 in /usr/lib/python3/x.py from 10.1.2.3:80\n"
        "Traceback (most recent call last)\n secret line"
    )
    for leak in ("host", "abc123456789", "/usr", "10.1.2.3", "secret", "\n"):
        assert leak not in text
    assert text.startswith("boom at [url]")


@given(st.text(max_size=5000))
def test_any_message_becomes_one_short_printable_line(text: str) -> None:
    cleaned = clean(text)
    assert 0 < len(cleaned) <= 300
    assert cleaned.isprintable()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps({"error": {"message": "full"}}).encode(), "full"),
        (json.dumps({"error": "full"}).encode(), "full"),
        (json.dumps({"detail": "full"}).encode(), "full"),
        (b"<html><b>full</b></html>", "full"),
        (b"", "no reason given"),
    ],
)
def test_the_message_is_found_in_every_usual_shape(body: bytes, message: str) -> None:
    error = status_error("b", 502, body, retry_after_s=2.0)
    assert error.message == f"backend 'b' answered 502: {message}"
    assert (error.kind, error.retry_after_s) == ("http_502", 2.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1000000000"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "9" * 4000}, MAX_RETRY_AFTER_S),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 00:00:10 GMT"}, 10.0),
        ({"retry-after": "Sun, 22 Nov 2020 00:00:10 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_and_bounded(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, datetime(2026, 11, 22, tzinfo=UTC)) == seconds
