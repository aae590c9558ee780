from typing import Any

import pytest

from headrace.router.policies.capability import Lack, lack, needs
from tests.support.routing import call, card, tool

ABLE = card("able", context_tokens=100)


@pytest.mark.parametrize(
    ("fields", "capability", "field"),
    [
        ({"stream": True}, "stream", "stream"),
        ({"tools": (tool(),)}, "tools", "tools"),
        ({"response_format": {"type": "json_object"}}, "json_schema", "response_format"),
        ({"logprobs": True}, "logprobs", "logprobs"),
    ],
)
def test_each_need_names_the_field_that_asks_for_it(fields: dict[str, Any], capability: str, field: str) -> None:
    asked = call(**fields)
    assert [(need.capability, need.field) for need in needs(asked)] == [(capability, field)]
    assert lack(ABLE, asked, needs(asked), 10) is None
    without = card("poor", capabilities=ABLE.capabilities - {capability})
    found = lack(without, asked, needs(asked), 10)
    assert isinstance(found, Lack)
    assert found.field == field
    assert "poor" in found.why


def test_a_plain_call_needs_nothing() -> None:
    assert needs(call(n=3)) == ()


def test_the_prompt_and_the_bound_on_new_tokens_must_fit_the_context() -> None:
    assert lack(ABLE, call(max_tokens=90), (), 10) is None
    too_many = lack(ABLE, call(max_tokens=91), (), 10)
    assert too_many is not None
    assert (too_many.field, too_many.code) == ("max_completion_tokens", "context_length_exceeded")
    too_long = lack(ABLE, call(), (), 100)
    assert too_long is not None
    assert (too_long.field, too_long.code) == ("messages", "context_length_exceeded")


def test_an_embedding_model_does_not_chat() -> None:
    found = lack(card("minilm", capabilities=frozenset({"embeddings"})), call(), (), 1)
    assert found is not None
    assert found.field == "model"
