import json
from itertools import pairwise

import pytest

from headrace.models.engine.retag import retag

NAMES = frozenset({"get_weather", "search_docs"})
PARIS = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
ROME = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
PRETTY = '{\n  "name": "get_weather",\n  "arguments": {\n    "city": "Paris"\n  }\n}'
TAGGED = f"<tool_call>{PARIS}</tool_call>"
BOTH = f"{TAGGED}<tool_call>{ROME}</tool_call>"

CALLS = {
    PARIS: TAGGED,
    f" \n{PARIS}": f" \n{TAGGED}",
    PRETTY: TAGGED,
    f"I look it up.\n\n{PARIS}": f"I look it up.\n\n{TAGGED}",
    f"{PARIS}\nThere.": f"{TAGGED}\nThere.",
    f"```json\n{PRETTY}\n```": TAGGED,
    f"```\n{PARIS}\n```": TAGGED,
    f"Here:\n```json\n{PRETTY}\n```\nThere.": f"Here:\n{TAGGED}\nThere.",
    f"{PARIS}\n{ROME}": f"{TAGGED}\n<tool_call>{ROME}</tool_call>",
    f"{PARIS}, {ROME}": f"{TAGGED}, <tool_call>{ROME}</tool_call>",
    f"```json\n{PARIS}\n{ROME}\n```": BOTH,
    f"```json\n{PARIS}\n```\n\n```json\n{ROME}\n```": f"{TAGGED}\n\n<tool_call>{ROME}</tool_call>",
    f"[{PARIS}, {ROME}]": BOTH,
    f"```json\n[\n  {PRETTY},\n  {ROME}\n]\n```": BOTH,
    PARIS.replace("arguments", "parameters"): TAGGED,
    PARIS[:-1] + ', "id": 1}': TAGGED,
    f"`x`\n```python\nprint(1)\n```\n{PARIS}": f"`x`\n```python\nprint(1)\n```\n{TAGGED}",
}
TEXTS = [
    "",
    "Paris is the capital of France.",
    f"The call is {PARIS}.",
    f'{{"calls": [\n  {PARIS}\n]}}',
    PARIS.replace("get_weather", "get_time"),
    PARIS.replace("arguments", "age"),
    '{"name": "get_weather"}',
    '{"name": "get_weather", "arguments": "Paris"}',
    '{"name": "get_weather", "arguments": {"city": NaN}}',
    '{"name": "get_weather", "arguments": {"city": "Par',
    '{"name": "get_weather", "arguments": {city}}\nis the format.',
    '[{"name": "get_weather", "arguments": {}}, 1]',
    f"```python\n{PARIS}\n```",
    f"```json\n{PARIS.replace('get_weather', 'get_time')}\n```\nand more",
    "```json\n",
    "`get_weather` tells it.",
    "int main()\n{\n  return 0;\n}\n[1, 2]\n``",
    TAGGED,
    f"First.\n{BOTH}",
    f"<tool_call>\n{PRETTY}\n</tool_call>\n{ROME}",
]


@pytest.mark.parametrize("text", CALLS)
def test_an_untagged_call_gets_its_tags(text: str) -> None:
    assert retag(text, NAMES, is_final=True) == CALLS[text]


@pytest.mark.parametrize("text", TEXTS)
def test_all_else_stays_byte_for_byte(text: str) -> None:
    assert retag(text, NAMES, is_final=True) == text


@pytest.mark.parametrize("text", [*CALLS, *TEXTS])
def test_what_a_beginning_gives_is_never_taken_back(text: str) -> None:
    said = [retag(text[:length], NAMES) for length in range(len(text) + 1)] + [retag(text, NAMES, is_final=True)]
    assert all(after.startswith(before) for before, after in pairwise(said))


@pytest.mark.parametrize("text", [text for text in CALLS if not text.endswith("There.")])
def test_a_whole_call_does_not_wait_for_the_end(text: str) -> None:
    assert retag(text, NAMES) == CALLS[text]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Yes.\n{", "{"),
        ('{"name": "get_we', '{"name": "get_we'),
        (f"Yes.\n{PARIS[:-1]}", PARIS[:-1]),
        ("Yes.\n```js", "```js"),
        (f"```json\n{PARIS}\n", f"```json\n{PARIS}\n"),
        ("```python\ndef f():", ""),
        ('{"name": "Ada', ""),
        ('{"age": 3', ""),
        ("Yes. {", ""),
    ],
)
def test_only_a_tail_that_may_become_a_call_is_held_back(text: str, held: str) -> None:
    assert retag(text, NAMES) + held == text


def test_without_offered_tools_nothing_is_a_call() -> None:
    assert retag(PARIS, frozenset()) == PARIS


def test_a_tag_inside_an_argument_does_not_end_the_call() -> None:
    arguments = {"query": "</tool_call> <tool_call>"}
    (body,) = retag(json.dumps({"name": "search_docs", "arguments": arguments}), NAMES).split("</tool_call>")[:-1]
    assert json.loads(body.removeprefix("<tool_call>")) == {"name": "search_docs", "arguments": arguments}
