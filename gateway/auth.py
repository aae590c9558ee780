"""Who is asking: from a request's raw headers to a Principal, and the secrets that are derived for that caller.

Reads only the header list of the ASGI scope: never the URL, the path or the Host header. A key is found by its keyed
digest (HMAC-SHA256 under a secret of this installation), so neither the table's order nor a partial match tells
anything about a key; the digests are then compared in constant time.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from headrace.contracts.errors import ConfigError, Unauthenticated
from headrace.contracts.principal import ANONYMOUS, Principal
from headrace.gateway.settings.tree import KeyEntry, Settings

SECRET_VARIABLE: Final = "HEADRACE_SECRET"  # noqa: S105  (the name of a variable, not a secret)
SECRET_FILE: Final = "gateway.secret"  # noqa: S105  (a file name, not a secret)
MIN_SECRET_BYTES: Final = 32
_BEARER: Final = re.compile(rb"[ \t]*(?i:bearer) +([!-~]{1,512})[ \t]*")
_BAD_KEY: Final = "Incorrect API key provided. Send the key as `Authorization: Bearer KEY`."
_NO_KEY: Final = "You didn't provide an API key. Send one as `Authorization: Bearer KEY`."

Headers = Sequence[tuple[bytes, bytes]]


def load_secret(home: Path, environ: Mapping[str, str]) -> bytes:
    """Return the installation's secret: HEADRACE_SECRET, else the 0600 file under `home`, made on first use.

    Gateways that share a keys file need the same secret. ConfigError when it is short or the file cannot be used.
    """
    given = environ.get(SECRET_VARIABLE, "")
    if given:
        if len(given.encode()) < MIN_SECRET_BYTES:
            raise ConfigError(f"{SECRET_VARIABLE} is under {MIN_SECRET_BYTES} bytes; use `openssl rand -hex 32`")
        return given.encode()
    path = home / SECRET_FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        _make_secret(path)
        secret = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: the secret cannot be used ({exc.strerror}); set {SECRET_VARIABLE}") from exc
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError(f"{path}: under {MIN_SECRET_BYTES} bytes; remove it and issue the keys again")
    return secret


def derive(secret: bytes, purpose: str) -> bytes:
    """Return the 32-byte key for one purpose (RFC 5869's expand step, one block); no key serves two purposes."""
    return hmac.digest(secret, b"headrace/1/" + purpose.encode() + b"\x01", hashlib.sha256)


def key_digest(secret: bytes, key: str) -> bytes:
    """Return what a keys file stores of a key."""
    return hmac.digest(derive(secret, "api-key"), key.encode(), hashlib.sha256)


def new_key() -> str:
    """Return a fresh key of 256 random bits."""
    return f"sk-hr-{secrets.token_urlsafe(32)}"


class Authenticator:
    """Finds the principal behind a request. Holds digests only. Safe to share between tasks and threads.

    entries: every issued key; none means that keys are off and everybody is anonymous. now: wall clock, for expiry.
    """

    def __init__(
        self,
        secret: bytes,
        entries: Sequence[KeyEntry] = (),
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lookup = derive(secret, "api-key")
        self._affinities = derive(secret, "affinity")
        self._now = now
        self._entries = {
            entry.digest: (entry, Principal(key_id=entry.id, tenant=entry.tenant, scopes=entry.scopes))
            for entry in entries
        }
        self._salting = derive(secret, "cache-salt")
        tenants = {ANONYMOUS.tenant, *(entry.tenant for entry in entries)}
        self._salts = {tenant: _keyed(self._salting, tenant) for tenant in tenants}

    @classmethod
    def open(cls, settings: Settings, environ: Mapping[str, str] = os.environ) -> "Authenticator":
        """Build the authenticator that a config file asks for."""
        secret = load_secret(settings.home, environ)
        plain = (_plain_entry(key_digest(secret, key)) for key in settings.keys.plain)
        return cls(secret, (*settings.keys.issued, *plain))

    @property
    def is_on(self) -> bool:
        """True when callers must show a key."""
        return bool(self._entries)

    def authenticate(self, headers: Headers) -> Principal:
        """Return who sent these raw headers (lower-case names); Unauthenticated in every doubtful case."""
        if not self._entries:
            return ANONYMOUS
        values = [value for name, value in headers if name == b"authorization"]
        if not values:
            raise Unauthenticated(_NO_KEY, code="invalid_api_key")
        key = _bearer(values)
        digest = hmac.digest(self._lookup, key, hashlib.sha256)
        found = self._entries.get(digest)
        if found is None or not hmac.compare_digest(found[0].digest, digest):
            raise Unauthenticated(_BAD_KEY, code="invalid_api_key")
        entry, principal = found
        if entry.expires is not None and self._now() >= entry.expires:
            raise Unauthenticated("This API key has expired; ask for a new one.", code="invalid_api_key")
        return principal

    def cache_salt(self, principal: Principal) -> str:
        """Return the tenant's opaque salt for engines that isolate prefix caches; a reload does not change it."""
        return self._salts.get(principal.tenant) or _keyed(self._salting, principal.tenant)

    def affinity(self, principal: Principal, conversation: str) -> str:
        """Return the opaque key that keeps one conversation of one tenant on its replica; "" for no conversation."""
        return _keyed(self._affinities, f"{principal.tenant}\0{conversation}") if conversation else ""


def _make_secret(path: Path) -> None:
    """Publish a fresh secret in one step, so that two starting gateways end with the same one."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(32).encode())
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        os.close(descriptor)
        draft.unlink()


def _plain_entry(digest: bytes) -> KeyEntry:
    name = hashlib.sha256(digest).hexdigest()[:8]
    return KeyEntry(f"env-{name}", digest, ANONYMOUS.tenant, frozenset({"*"}))


def _bearer(values: Sequence[bytes]) -> bytes:
    """Return the key of the one Authorization header; two headers, another scheme or odd bytes are refused."""
    found = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise Unauthenticated(_BAD_KEY, code="invalid_api_key")
    return found[1]


def _keyed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:32]
