"""Tells whether a model's reply to a labelled question is right. Pure, except that code is run in a sandbox."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from headrace.router.training.labelled import Question
from headrace.router.training.sandbox import passes

_FENCE = re.compile(r"```(?:[a-zA-Z0-9_+-]*)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def grade(question: Question, reply: str) -> bool:
    """Return True when the reply is right. A JSON reply is judged by its `answer` field, and must be valid."""
    if question.as_json:
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
    found = _NUMBER.findall(reply)
    return bool(found) and float(found[-1].replace(",", "")) == float(str(gold["answer"]).replace(",", ""))


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


_GRADERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], bool]]] = {
    "contains_word": contains_word,
    "number": number,
    "python_tests": python_tests,
}
