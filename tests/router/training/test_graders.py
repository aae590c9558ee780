from headrace.router.training.graders import contains_word, grade, number, program_of
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
