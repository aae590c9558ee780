import msgspec
import pytest

from headrace.contracts.chat import Chunk, EstimatedUsage, Usage
from tests.support.routing import call


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [(None, False), ({"type": "text"}, False), ({"type": "json_object"}, True), ({"type": "json_schema"}, True)],
)
def test_json_is_wanted_by_two_response_formats(response_format: dict[str, str] | None, expected: bool) -> None:
    assert call(response_format=response_format).wants_json is expected


def test_a_chunk_is_decoded_with_what_is_there_and_keeps_unknown_delta_fields() -> None:
    raw = b'{"choices": [{"delta": {"content": "a", "annotations": []}}], "system_fingerprint": null}'
    chunk = msgspec.json.decode(raw, type=Chunk)
    assert chunk.choices[0].delta == {"content": "a", "annotations": []}
    assert (chunk.choices[0].finish_reason, chunk.usage) == (None, None)


def test_chunks_share_no_default() -> None:
    first, second = Chunk(), Chunk()
    first.choices.append(msgspec.json.decode(b'{"choices": [{}]}', type=Chunk).choices[0])
    assert second.choices == []


def test_estimated_usage_looks_like_usage_on_the_wire() -> None:
    assert msgspec.json.encode(EstimatedUsage(1, 2, 3)) == msgspec.json.encode(Usage(1, 2, 3))
    assert b"details" not in msgspec.json.encode(Usage(1, 2, 3))
