import json

import pytest

from headrace.contracts.errors import BackendProtocol, BackendStatus
from headrace.models.backends.decode import decode_chunk, decode_completion


def test_a_chunk_keeps_unknown_delta_fields() -> None:
    payload = b'{"choices":[{"index":0,"delta":{"reasoning":"hm","odd":1},"logprobs":null,"finish_reason":null}],"x":1}'
    assert decode_chunk(payload, "chat", "b").choices[0].delta == {"reasoning": "hm", "odd": 1}


def test_null_ids_and_float_times_of_sloppy_servers_are_read() -> None:
    payload = b'{"id":null,"created":1.7e9,"model":null,"choices":[{"index":0,"delta":{"content":"x"}}]}'
    chunk = decode_chunk(payload, "chat", "b")
    assert (chunk.id, chunk.created, chunk.choices[0].delta) == ("", 1_700_000_000, {"content": "x"})


@pytest.mark.parametrize("payload", [b"{", b"[]", b'"x"', b"\xff", b'{"choices":[{"index":"no"}]}', b'{"choices":7}'])
def test_what_is_no_chunk_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(BackendProtocol):
        decode_chunk(payload, "chat", "b")


@pytest.mark.parametrize(
    ("error", "status"),
    [({"error": {"message": "m", "code": 503}}, 503), ({"error": "m"}, 500), ({"object": "error", "code": 400}, 400)],
)
def test_an_error_object_raises_with_its_code(error: dict[str, object], status: int) -> None:
    payload = json.dumps(error).encode()
    with pytest.raises(BackendStatus) as caught:
        decode_chunk(payload, "chat", "b")
    assert caught.value.upstream_status == status
    with pytest.raises(BackendStatus):
        decode_completion(payload, "chat", "b")


def test_legacy_chunks_and_logprobs_become_chat_shapes() -> None:
    payload = json.dumps(
        {
            "choices": [
                {
                    "index": 1,
                    "text": "ab",
                    "logprobs": {
                        "tokens": ["a", "b"],
                        "token_logprobs": [None, -0.5],
                        "top_logprobs": [None, {"c": -2}],
                    },
                    "finish_reason": None,
                }
            ]
        }
    ).encode()
    choice = decode_chunk(payload, "completions", "b").choices[0]
    assert (choice.index, choice.delta) == (1, {"content": "ab"})
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert [(t.token, t.logprob) for t in choice.logprobs.content] == [("a", 0.0), ("b", -0.5)]
    assert choice.logprobs.content[1].top_logprobs[0].token == "c"
    whole = decode_completion(payload, "completions", "b")
    assert whole.choices[0].message == {"role": "assistant", "content": "ab"}


def test_an_answer_without_choices_is_a_protocol_error() -> None:
    with pytest.raises(BackendProtocol, match="no choices"):
        decode_completion(b'{"choices": []}', "chat", "b")
    with pytest.raises(BackendProtocol, match="not the JSON"):
        decode_completion(b"<html>", "chat", "b")


def test_nulls_for_absent_parts_of_a_message_are_left_out() -> None:
    body = b'{"choices":[{"message":{"role":"assistant","content":null,"refusal":null,"audio":null,"x":1}}]}'
    message = decode_completion(body, "chat", "b").choices[0].message
    assert message == {"role": "assistant", "content": None, "refusal": None, "x": 1}
