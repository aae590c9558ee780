from headrace.router.training.graders import (
    choice,
    contains_word,
    grade,
    json_schema,
    literal,
    number,
    program_of,
    stated_literal,
)
from headrace.router.training.labelled import Question


def test_a_gold_answer_must_stand_as_a_whole_word() -> None:
    assert contains_word("It is paris.", {"answers": ["Paris"]})
    assert not contains_word("A comparison", {"answers": ["Paris"]})
    assert contains_word("Na", {"answers": ["Na"], "kind": "fact_symbol"})
    assert not contains_word("na", {"answers": ["Na"], "kind": "fact_symbol"})


def test_only_the_first_yes_or_no_counts() -> None:
    gold = {"answers": ["no"], "kind": "yes_no"}
    assert contains_word("No, although yes at times", gold)
    assert not contains_word("Yes. No.", gold)
    assert not contains_word("perhaps", gold)


def test_the_last_number_is_compared() -> None:
    assert number("3 + 4 = 7, so 1,007.", {"answer": "1007"})
    assert number("-5.0", {"answer": "-5"})
    assert not number("7 of 8", {"answer": "7"})
    assert not number("seven", {"answer": "7"})


def test_the_program_is_the_block_that_defines_the_function() -> None:
    prompt = "import math\n\ndef f(x):\n    "
    reply = "First:\n```python\nx = 1\n```\nthen\n```python\ndef f(x):\n    return x\n```"
    assert program_of(reply, prompt, "f").startswith("import math\ndef f(x)")
    assert program_of("    return x", prompt, "f").startswith(prompt)


def test_json_replies_are_judged_by_their_answer_field() -> None:
    question = Question("q", "fact", "?", "contains_word", {"answers": ["Paris"]}, as_json=True)
    assert grade(question, '{"answer": "Paris"}')
    assert not grade(question, "Paris")
    assert not grade(question, '["Paris"]')


def test_code_is_run_against_its_checks() -> None:
    gold = {"prompt": "def f(x):\n", "entry_point": "f", "test": "def check(c):\n    assert c(2) == 4"}
    question = Question("q", "humaneval", "?", "python_tests", gold)
    assert grade(question, "```python\ndef f(x):\n    return x * x\n```")
    assert not grade(question, "I cannot do that.")


def test_the_first_choice_named_counts() -> None:
    gold = {"answer": "maybe", "choices": ["yes", "no", "maybe"]}
    assert choice("Maybe: the sample is small, so no.", gold)
    assert not choice("No, or maybe", gold)
    assert not choice("Nothing is known", gold)


def test_literals_are_compared_as_values() -> None:
    assert literal("assert f(1) == [1,  2]", {"answer": "[1, 2]"})
    assert literal("```python\nassert f(1) == {'b': 1, 'a': 2}\n```", {"answer": "{'a': 2, 'b': 1}"})
    assert literal("[PYTHON]\nassert f('x') == 'ha'\n[/PYTHON]", {"answer": "ha"})
    assert not literal("True", {"answer": "1"})
    assert not literal("", {"answer": "1"})
    assert not literal("{{}: 1}", {"answer": "1"})


def test_the_stated_literal_is_behind_the_last_comparison_or_the_last_line() -> None:
    assert stated_literal("if x == 1:\nassert f(2) == 'b'") == "'b'"
    assert stated_literal("The answer is\n`[3]`") == "[3]"


def test_json_must_fit_its_schema_and_the_gold_value_if_there_is_one() -> None:
    schema = {"type": "object", "required": ["a"]}
    assert json_schema('{"a": 1}', {"schema": schema})
    assert json_schema('{"a": 1}', {"schema": schema, "answer": {"a": 1}})
    for reply in ("{}", "{", '{"a": 2}'):
        assert not json_schema(reply, {"schema": schema, "answer": {"a": 1}})
    whole = Question("j", "own", "?", "json_schema", {"schema": schema}, as_json=True)
    assert grade(whole, '{"a": 1}')
