import msgspec
import pytest

from headrace.contracts.errors import InvalidRequest
from headrace.gateway.codecs.messages import Turns, as_messages

DECODE = msgspec.json.Decoder(Turns).decode


def test_a_refusal_of_before_is_text() -> None:
    turns = DECODE(b'[{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]')
    assert as_messages(turns)[0].text == "no"


@pytest.mark.parametrize(
    ("kind", "field"), [("input_audio", "input_audio"), ("file", "file"), ("image_url", "image_url")]
)
def test_each_kind_of_media_is_refused_with_a_cure(kind: str, field: str) -> None:
    turns = DECODE(b'[{"role":"user","content":[{"type":"%s"}]}]' % kind.encode())
    with pytest.raises(InvalidRequest, match="text only") as caught:
        as_messages(turns)
    assert caught.value.param == f"messages[0].content[0].{field}"


def test_an_assistant_turn_of_tool_calls_needs_no_content() -> None:
    call = b'{"id":"1","type":"custom","custom":{"name":"c","input":"x"}}'
    assert as_messages(DECODE(b'[{"role":"assistant","tool_calls":[%s]}]' % call))[0].text == ""
