"""How much two answers to one question say the same, from 0 to 1, without knowing which is right. Pure."""

import ast
import re
from typing import Final

from headrace.router.training.graders import first_choice, last_number, program_of, stated_literal
from headrace.router.training.labelled import Question

_WORD = re.compile(r"\w+")
# Words that stand in answers whatever they say.
_EMPTY: Final = frozenset(
    re.findall(
        r"\w+", "a an and are as at be by for from has have i in is it its of on or that the this to was were which"
    )
)


def agreement(question: Question, one: str, other: str) -> float:
    """Compare final answers where the question has a short one, else the words that carry meaning (F1)."""
    first, second = said(question, one), said(question, other)
    if first is not None or second is not None:
        return float(first == second)
    mine, theirs = content_words(one), content_words(other)
    shared = len(mine & theirs)
    return 2.0 * shared / (len(mine) + len(theirs)) if shared else 0.0


def support(question: Question, reply: str) -> float | None:
    """Return the share of the reply's content words that stand in the question's passage, None without a passage.

    Words of the question around the passage do not count for or against.
    """
    if not question.passage:
        return None
    asked = content_words(question.text.replace(question.passage, " "))
    words = content_words(reply) - asked
    return len(words & content_words(question.passage)) / len(words) if words else 0.0


def said(question: Question, reply: str) -> str | None:
    """Return the final answer in one spelling, None where the question has none that can be told from the text."""
    if question.grader == "number":
        return last_number(reply)
    if question.grader == "choice":
        return first_choice(reply, question.gold["choices"])
    if question.grader == "literal":
        return stated_literal(reply)
    if question.grader == "python_tests":
        return _program(program_of(reply, question.gold["prompt"], question.gold["entry_point"]))
    if question.gold.get("kind") == "yes_no":
        return first_choice(reply, ("yes", "no"))
    return None


def content_words(text: str) -> frozenset[str]:
    """Return the words that carry meaning, in lower case."""
    return frozenset(_WORD.findall(text.lower())) - _EMPTY


def _program(code: str) -> str:
    """Return a program without its layout and comments, as it is where it does not parse."""
    try:
        return ast.unparse(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code.strip()
