import msgspec
import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.strict import check_depth, convert, decode


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int = 0


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    items: list[Inner] = []


DECODER = msgspec.json.Decoder(Outer)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{}", "name", "missing_required_parameter"),
        (b'{"name":1}', "name", "invalid_type"),
        (b'{"name":"a","items":[{"count":"x"}]}', "items[0].count", "invalid_type"),
        (b'{"name":"a","items":[{"extra":1}]}', "items[0].extra", "unknown_parameter"),
        (b'{"name":"a","zzz":1}', "zzz", "unknown_parameter"),
    ],
)
def test_an_error_names_the_path_of_the_field(body: bytes, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, DECODER, max_depth=8)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_an_unknown_field_is_told_in_openais_words() -> None:
    with pytest.raises(InvalidRequest, match="Unrecognized request argument supplied: zzz"):
        decode(b'{"name":"a","zzz":1}', DECODER, max_depth=8)


def test_brackets_inside_strings_are_no_depth() -> None:
    check_depth(b'{"a":"' + b"[" * 100 + b'\\"]"}', 8)


def test_depth_is_counted_not_brackets() -> None:
    check_depth(b"[" + b"[]," * 50 + b"[]]", 2)
    with pytest.raises(InvalidRequest, match="deeper than 2"):
        check_depth(b"[[[]]]", 2)


def test_a_repeated_key_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(b'{"name":"a","name":"b"}', DECODER, max_depth=8)
    assert caught.value.param == "name"


def test_a_part_is_named_below_its_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert({"count": "x"}, Inner, at="items[3]")
    assert caught.value.param == "items[3].count"
