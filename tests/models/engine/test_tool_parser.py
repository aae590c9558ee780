import json
import warnings
from collections.abc import Iterator
from typing import Any, cast

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # vLLM's imports warn of what torch will drop
    pytest.importorskip("vllm", reason="the parser runs in the engine environment")
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser.abstract_parser import Parser
    from vllm.parser.parser_manager import ParserManager
    from vllm.tool_parsers.abstract_tool_parser import ToolParserManager

from headrace.models.catalog.catalogue import Catalogue

pytestmark = pytest.mark.engine_env

PARIS = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
ROME = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
ANSWERS = {
    PARIS: ("", ["Paris"]),
    f"Sure.\n```json\n{PARIS}\n```": ("Sure.\n", ["Paris"]),
    f"[{PARIS}, {ROME}]": ("", ["Paris", "Rome"]),
    f"{PARIS}\n{ROME}": ("", ["Paris", "Rome"]),
    f"<tool_call>\n{PARIS}\n</tool_call>": ("", ["Paris"]),
    f"<tool_call>\n{PARIS}\n</tool_call>\n<tool_call>\n{ROME}\n</tool_call>": ("", ["Paris", "Rome"]),
    "```python\nprint(1)\n```\n1 <": ("```python\nprint(1)\n```\n1 <", []),
    f"Sure.\n{PARIS[:-2]}": (f"Sure.\n{PARIS[:-2]}", []),
    PARIS.replace("get_weather", "get_time"): (PARIS.replace("get_weather", "get_time"), []),
}


class Tokenizer:
    """All that these parsers want of one: that it is there."""


@pytest.fixture(scope="module")
def make_parser() -> type[Parser]:
    args = Catalogue.packaged().get("qwen2.5-coder-1.5b-instruct-int8").engine_args
    named = dict(arg.split("=") for arg in args if "=" in arg)
    ToolParserManager.import_tool_parser(named["--tool-parser-plugin"])
    parser = ParserManager.get_parser(tool_parser_name=named["--tool-call-parser"], enable_auto_tools=True)
    assert parser is not None
    return parser


def asked(tool_choice: str = "auto") -> ChatCompletionRequest:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    body = {"messages": [{"role": "user", "content": "?"}], "tools": [tool], "tool_choice": tool_choice}
    return ChatCompletionRequest.model_validate(body)


def parser_of(request: ChatCompletionRequest, make_parser: type[Parser]) -> Any:
    return cast("Any", make_parser)(Tokenizer(), request.tools)


def stream(text: str, size: int, request: ChatCompletionRequest, make_parser: type[Parser]) -> Iterator[Any]:
    parser = parser_of(request, make_parser)
    for start in range(0, len(text), size):
        piece = text[start : start + size]
        delta = parser.parse_delta(piece, [1], request, prompt_token_ids=[1], finished=start + size >= len(text))
        if delta is not None:
            yield delta


def city(arguments: str) -> str:
    (value,) = json.loads(arguments).values()
    return str(value)


@pytest.mark.parametrize("text", ANSWERS)
def test_a_whole_answer_gives_its_calls(text: str, make_parser: type[Parser]) -> None:
    request = asked()
    _, content, calls = parser_of(request, make_parser).parse(text, request, enable_auto_tools=True)
    assert ((content or ""), [city(call.arguments) for call in calls or []]) == ANSWERS[text]


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_streamed_answer_gives_the_same(text: str, size: int, make_parser: type[Parser]) -> None:
    deltas = list(stream(text, size, asked(), make_parser))
    parts = [part for delta in deltas for part in delta.tool_calls or []]
    content, cities = ANSWERS[text]

    assert "".join(delta.content or "" for delta in deltas) == content
    begun = [part for part in parts if part.id]
    assert [(part.index, part.function.name) for part in begun] == [(i, "get_weather") for i in range(len(cities))]
    assert len({part.id for part in begun}) == len(cities)
    assert all(part.function.name is None for part in parts if not part.id)
    said = ["".join(part.function.arguments or "" for part in parts if part.index == i) for i in range(len(cities))]
    assert [city(arguments) for arguments in said] == cities


def test_text_does_not_wait_when_it_cannot_become_a_call(make_parser: type[Parser]) -> None:
    text = "```py\nprint(1)\n"
    deltas = list(stream(text, 4, asked(), make_parser))
    assert [delta.content for delta in deltas] == ["```p", "y\npr", "int(", "1)\n"]


@pytest.mark.parametrize("text", [PARIS, f"<tool_call>{PARIS}</tool_call>"])
def test_with_tool_choice_none_a_call_stays_text(text: str, make_parser: type[Parser]) -> None:
    request = asked("none")
    assert "".join(delta.content or "" for delta in stream(text, 3, request, make_parser)) == text
    assert parser_of(request, make_parser).parse(text, request, enable_auto_tools=True) == (None, text, [])
