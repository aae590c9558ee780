import msgspec

from headrace.gateway.codecs.fields import FORWARDED, Fields, Sampling, is_set

READ = msgspec.json.Decoder(Sampling).decode


def test_only_what_the_client_set_is_forwarded() -> None:
    assert Fields(*FORWARDED).of(READ(b'{"model":"m","temperature":0.0,"n":2}')) == {"temperature": 0.0, "n": 2}


def test_every_forwarded_name_is_a_field() -> None:
    assert set(FORWARDED) <= set(Sampling.__struct_fields__)


def test_null_counts_as_absent_in_an_unread_field() -> None:
    assert not is_set(READ(b'{"model":"m","cache_salt":null}').cache_salt)
    assert is_set(READ(b'{"model":"m","cache_salt":"x"}').cache_salt)
