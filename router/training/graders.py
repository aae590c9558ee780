"""Tells whether a model's reply to a labelled question is right. Pure, except that code is run in a sandbox."""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jsonschema_rs

from headrace.router.training.labelled import Question
from headrace.router.training.sandbox import passes

_FENCE = re.compile(r"```(?:[a-zA-Z0-9_+-]*)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ASSERTED = re.compile(r"==\s*(.+?)\s*$", re.MULTILINE)
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def grade(question: Question, reply: str) -> bool:
    """Return True when the reply is right. A JSON reply is judged by its `answer` field, and must be valid."""
    if question.as_json and question.grader != "json_schema":
        try:
            parsed = json.loads(reply)
        except ValueError:
            return False
        reply = str(parsed.get("answer", "")) if isinstance(parsed, dict) else ""
    return _GRADERS[question.grader](reply, question.gold)


def contains_word(reply: str, gold: Mapping[str, Any]) -> bool:
    """Find any gold answer as a whole word: case counts for symbols; for yes_no only the first yes or no does."""
    if gold.get("kind") == "yes_no":
        first = _YES_NO.search(reply)
        return first is not None and first.group(1).lower() in {answer.lower() for answer in gold["answers"]}
    flags = 0 if gold.get("kind") == "fact_symbol" else re.IGNORECASE
    return any(re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", reply, flags) for answer in gold["answers"])


def number(reply: str, gold: Mapping[str, Any]) -> bool:
    """Compare the last number of the reply with the gold number."""
    found = last_number(reply)
    return found is not None and float(found) == float(str(gold["answer"]).replace(",", ""))


def last_number(reply: str) -> str | None:
    """Return the last number of the reply without separators, in its shortest spelling."""
    found = _NUMBER.findall(reply)
    return f"{float(found[-1].replace(',', '')):.12g}" if found else None


def choice(reply: str, gold: Mapping[str, Any]) -> bool:
    """Compare the first choice that the reply names, whole words and case ignored, with the gold one."""
    named = first_choice(reply, gold["choices"])
    return named is not None and named == str(gold["answer"]).lower()


def first_choice(reply: str, choices: Sequence[str]) -> str | None:
    """Return the first of the choices that stands in the reply, in lower case."""
    either = "|".join(re.escape(str(one)) for one in sorted(choices, key=len, reverse=True))
    found = re.search(rf"(?<!\w)(?:{either})(?!\w)", reply, re.IGNORECASE)
    return found.group().lower() if found else None


def literal(reply: str, gold: Mapping[str, Any]) -> bool:
    """Compare the Python value that the reply ends in with the gold one; a gold text may stand without quotes."""
    answer = str(gold["answer"])
    found = stated_literal(reply)
    if found == answer:
        return True
    value, wanted = _value(found), _value(answer)
    return value == wanted if type(value) is type(wanted) else str(value) == str(wanted)


def stated_literal(reply: str) -> str:
    """Return what the reply says the value is: behind the last `==`, else its last line without fences."""
    fenced = _FENCE.findall(reply)
    text = fenced[-1] if fenced and fenced[-1].strip() else reply
    asserted = _ASSERTED.findall(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("```", "[/PYTHON]"))]
    stated = asserted[-1] if asserted else (lines[-1] if lines else "")
    return stated.strip().strip("`").strip()


def json_schema(reply: str, gold: Mapping[str, Any]) -> bool:
    """Tell whether the reply is JSON that the schema accepts; a gold `answer` must then be its value too."""
    try:
        value = json.loads(reply)
    except ValueError:
        return False
    if not jsonschema_rs.is_valid(gold["schema"], value, offline=True):
        return False
    return "answer" not in gold or value == gold["answer"]


def python_tests(reply: str, gold: Mapping[str, Any]) -> bool:
    """Run the returned function against the gold checks in the sandbox."""
    return passes(program_of(reply, gold["prompt"], gold["entry_point"]), gold["test"], gold["entry_point"])


def program_of(reply: str, prompt: str, entry_point: str) -> str:
    """Return the program in a reply: the fenced block that defines the function, else the reply after the stub."""
    blocks = [block for block in _FENCE.findall(reply) if f"def {entry_point}" in block]
    code = blocks[-1] if blocks else reply
    if f"def {entry_point}" not in code:
        return f"{prompt}\n{code}"
    imports = "\n".join(line for line in prompt.splitlines() if line.startswith(("import ", "from ")))
    return f"{imports}\n{code}"


def _value(text: str) -> object:
    """Return the Python value of a literal, the text itself where it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


_GRADERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], bool]]] = {
    "contains_word": contains_word,
    "number": number,
    "choice": choice,
    "literal": literal,
    "json_schema": json_schema,
    "python_tests": python_tests,
}
