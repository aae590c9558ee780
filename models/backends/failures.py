"""An endpoint's error answers in our words: cleaned, short, with a bounded Retry-After. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from headrace.contracts.errors import BackendStatus

MAX_RETRY_AFTER_S = 60.0
_MAX_MESSAGE = 300
_SECRETS = (
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s\"'<>]*"), "[url]"),
    (re.compile(r"(?i)\b(?:bearer\s+|(?:sk|pk|key|hf|ghp|xox[a-z])[-_])[A-Za-z0-9._-]{6,}"), "[key]"),
    (re.compile(r"(?<![\w])(?:/[\w.+-]+){2,}"), "[path]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "[address]"),
)


def status_error(backend: str, status: int, body: bytes, *, retry_after_s: float | None) -> BackendStatus:
    """Return the error for an answer with an error status (or an error object in place of an answer)."""
    return BackendStatus(
        f"backend {backend!r} answered {status}: {reason_in(body)}",
        upstream_status=status,
        retry_after_s=retry_after_s,
    )


def reason_in(body: bytes) -> str:
    """Return what an error body says, in whatever shape it says it, cleaned."""
    return clean(_message_of(body))


def clean(text: str) -> str:
    """Return the first line of meaning: no addresses, keys, paths or traces, at most 300 characters."""
    text = text[: 16 * _MAX_MESSAGE].split("Traceback (most recent call last)", maxsplit=1)[0]
    for pattern, word in _SECRETS:
        text = pattern.sub(word, text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[: _MAX_MESSAGE - 1] + "…" if len(text) > _MAX_MESSAGE else text or "no reason given"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds a Retry-After asks for (ms, seconds or a date), within 0 and MAX_RETRY_AFTER_S."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if value.isascii() and value.replace(".", "", 1).isdigit():
            return min(float(value[:20]) * unit_s, MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _message_of(body: bytes) -> str:
    try:
        loose: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[:2000].decode("utf-8", "replace")
        return re.sub(r"<[^>]{0,200}>", " ", text)
    for key in ("error", "message", "detail"):
        if isinstance(loose, dict) and loose.get(key):
            loose = loose[key]
    return loose if isinstance(loose, str) else msgspec.json.encode(loose).decode()[:2000]
