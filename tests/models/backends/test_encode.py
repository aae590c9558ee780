import json
import string

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.protocols import UpstreamCall
from headrace.models.backends.encode import EndpointKind, encode_body, engine_salt


def body(
    chat: ChatCall, *, probe: bool = False, salt: str = "", kind: EndpointKind = "openai", streamed: bool = False
) -> dict[str, object]:
    call = UpstreamCall(chat=chat, probe=probe, deadline=1.0, request_id="req_1", cache_salt=salt)
    decoded: dict[str, object] = json.loads(encode_body(call, model="up", kind=kind, streamed=streamed))
    return decoded


WIRE = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi","x":1}]'), "temperature": 0.5}
CHAT = ChatCall(model="headrace/auto", endpoint="chat", messages=(), wire=WIRE)


def test_the_clients_fields_go_up_as_they_came_with_the_endpoints_model() -> None:
    assert body(CHAT) == {
        "messages": [{"role": "user", "content": "hi", "x": 1}],
        "temperature": 0.5,
        "model": "up",
    }


def test_a_stream_always_asks_for_usage_and_engines_for_running_usage() -> None:
    assert body(CHAT, streamed=True)["stream_options"] == {"include_usage": True}
    assert body(CHAT, streamed=True, kind="vllm")["stream_options"] == {
        "include_usage": True,
        "continuous_usage_stats": True,
    }


def test_a_probe_asks_for_logprobs_and_keeps_the_clients_top_logprobs() -> None:
    assert body(CHAT, probe=True)["logprobs"] is True
    asked = ChatCall(model="m", endpoint="chat", messages=(), wire={}, logprobs=True, top_logprobs=3)
    assert body(asked)["top_logprobs"] == 3
    legacy = ChatCall(model="m", endpoint="completions", messages=(), wire={"prompt": "x"})
    assert body(legacy, probe=True)["logprobs"] == 0


def test_only_engines_get_a_salt_and_it_is_derived_and_url_safe() -> None:
    assert "cache_salt" not in body(CHAT, salt="tenant")
    salt = body(CHAT, salt="ten\x00ant\ud800", kind="vllm")["cache_salt"]
    assert isinstance(salt, str)
    assert set(salt) <= set(string.ascii_letters + string.digits + "-_")
    assert engine_salt("a") != engine_salt("b")
