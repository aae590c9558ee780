import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError, Unauthenticated
from headrace.contracts.principal import ANONYMOUS, Principal
from headrace.gateway.auth import Authenticator, derive, key_digest, load_secret, new_key
from headrace.gateway.settings.tree import KeyEntry, Keys
from tests.support.config import load_text

SECRET = b"s" * 32
KEY = "sk-hr-a-key-of-the-test"
ENTRY = KeyEntry("alice", key_digest(SECRET, KEY), "research", frozenset({"chat"}), datetime(2027, 1, 1, tzinfo=UTC))
BEFORE = datetime(2026, 12, 31, tzinfo=UTC)


def guard(now: datetime = BEFORE) -> Authenticator:
    return Authenticator(SECRET, (ENTRY,), now=lambda: now)


def bearer(key: str) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + key.encode())


def test_a_good_key_tells_who_is_asking() -> None:
    found = guard().authenticate([(b"host", b"x/?"), bearer(KEY)])
    assert found == Principal("alice", "research", frozenset({"chat"}))


def test_the_scheme_is_read_in_any_case() -> None:
    assert guard().authenticate([(b"authorization", b"bEARER  " + KEY.encode() + b" ")]).key_id == "alice"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", KEY.encode())],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic " + KEY.encode())],
        [(b"authorization", KEY.encode())],
        [bearer(KEY), bearer(KEY)],
        [bearer("wrong" * 5)],
        [bearer(KEY[:-1])],
        [bearer(KEY + "x")],
        [bearer("ключ")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer a b")],
        [(b"authorization", b"Bearer a\x00b")],
        [(b"authorization", b"Bearer " + b"k" * 100_000)],
    ],
)
def test_every_doubtful_header_is_a_401_that_shows_no_key(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        guard().authenticate(headers)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.status == 401
    assert KEY[:-1] not in caught.value.message


@given(st.binary(max_size=80))
def test_no_header_value_ever_breaks_it(value: bytes) -> None:
    with pytest.raises(Unauthenticated):
        guard().authenticate([(b"authorization", value)])


def test_an_expired_key_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        guard(datetime(2027, 1, 1, tzinfo=UTC)).authenticate([bearer(KEY)])


def test_without_keys_everybody_is_anonymous() -> None:
    off = Authenticator(SECRET)
    assert not off.is_on
    assert off.authenticate([bearer("anything")]) == ANONYMOUS


def test_one_secret_gives_a_different_key_for_each_purpose() -> None:
    assert len({derive(SECRET, purpose) for purpose in ("api-key", "cache-salt", "affinity")}) == 3


def test_salt_and_affinity_belong_to_the_tenant_and_tell_nothing() -> None:
    one, two = Principal("a", "one"), Principal("b", "two")
    entries = [KeyEntry(name, bytes([number]) * 32, name, frozenset("*")) for number, name in enumerate(("one", "two"))]
    keys = Authenticator(SECRET, entries)
    assert keys.cache_salt(one) != Authenticator(b"t" * 32, entries).cache_salt(one)
    assert keys.cache_salt(one) == Authenticator(SECRET).cache_salt(one)
    assert keys.cache_salt(one) == keys.cache_salt(replace(one, key_id="other"))
    assert keys.cache_salt(one) != keys.cache_salt(two)
    assert keys.affinity(one, "talk") != keys.affinity(two, "talk")
    assert keys.affinity(one, "") == ""
    assert "one" not in keys.cache_salt(one)
    assert len(keys.affinity(one, "half \ud800")) == 32


def test_the_secret_is_made_once_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    first = load_secret(tmp_path / "home", {})
    assert load_secret(tmp_path / "home", {}) == first
    (file,) = (tmp_path / "home").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_secret_of_the_environment_wins_and_must_be_long(tmp_path: Path) -> None:
    assert load_secret(tmp_path, {"HEADRACE_SECRET": "x" * 40}) == b"x" * 40
    with pytest.raises(ConfigError, match="under 32 bytes"):
        load_secret(tmp_path, {"HEADRACE_SECRET": "short"})


def test_a_secret_that_is_cut_short_is_never_used(tmp_path: Path) -> None:
    (tmp_path / "gateway.secret").write_bytes(b"abc")
    with pytest.raises(ConfigError, match="remove it"):
        load_secret(tmp_path, {})


def test_a_home_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="set HEADRACE_SECRET"):
        load_secret(tmp_path / "file", {})


def test_keys_of_file_and_environment_both_open_the_door(tmp_path: Path) -> None:
    settings = load_text(tmp_path)
    settings = replace(settings, keys=Keys(issued=(ENTRY,), plain=("a-plain-key-of-some-length",)))
    opened = Authenticator.open(settings, {"HEADRACE_SECRET": SECRET.decode()})
    assert opened.is_on
    principal = opened.authenticate([bearer("a-plain-key-of-some-length")])
    assert principal.key_id.startswith("env-")
    assert principal.allows("admin")


def test_new_keys_hold_256_random_bits() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(key.startswith("sk-hr-") and len(key) >= 49 for key in keys)
