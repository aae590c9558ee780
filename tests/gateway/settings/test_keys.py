from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.gateway.settings.document import parse
from headrace.gateway.settings.keys import build_keys, plain_keys
from headrace.gateway.settings.problems import Keys
from headrace.gateway.settings.tree import KeyEntry
from tests.support.config import KEYS


def read(text: str) -> tuple[tuple[KeyEntry, ...], list[str]]:
    told: list[str] = []

    def report(path: Keys, what: str, cure: str, *, at_key: bool = False) -> None:
        told.append(f"{path} {what} {cure} {at_key}")

    return build_keys(parse(text, Path("keys.yaml"), {}), report), told


def test_a_keys_file_gives_digests_tenants_scopes_and_expiry() -> None:
    (entry,), told = read(KEYS)
    assert told == []
    assert entry == KeyEntry(
        "alice", bytes.fromhex("ab" * 32), "research", frozenset({"chat", "models"}), datetime(2099, 1, 1, tzinfo=UTC)
    )
    assert "abab" not in repr(entry)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("hmac-sha256:", "sha256:", "cannot be used"),
        ("[chat, models]", "[chatt]", "did you mean 'chat'?"),
        ("[chat, models]", "[]", "length"),
        ("2099-01-01", "soon", "is not a date"),
        ("tenant: research", "tenant: 'a b'", "cannot be used"),
        ("version: 1", "version: 2", "not a known word"),
    ],
)
def test_a_bad_entry_is_told(old: str, new: str, what: str) -> None:
    _, told = read(KEYS.replace(old, new))
    assert any(what in line for line in told), told
    assert not any("ababab" in line for line in told)


def test_an_id_or_a_hash_that_stands_twice_is_told() -> None:
    line = KEYS.splitlines()[-1]
    assert len(read(f"{KEYS}{line}\n")[1]) == 2


def test_plain_keys_come_from_the_environment() -> None:
    assert plain_keys({"HEADRACE_API_KEYS": " aaaaaaaaaaaaaaaa1, bbbbbbbbbbbbbbbb2,"}) == (
        ("aaaaaaaaaaaaaaaa1", "bbbbbbbbbbbbbbbb2"),
        None,
    )
    assert plain_keys({}) == ((), None)


@pytest.mark.parametrize("text", ["short", "a key with spaces in it", "ключ-ключ-ключ-ключ"])
def test_odd_plain_keys_are_refused_and_never_shown(text: str) -> None:
    keys, wrong = plain_keys({"HEADRACE_API_KEYS": text})
    assert keys == ()
    assert wrong is not None
    assert text not in wrong
