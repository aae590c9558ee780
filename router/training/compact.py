"""Turns the runs of several models into the compact table: evidence rules, doubts, agreements. Pure."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Final

import jsonschema_rs

from headrace.contracts.chat import Choice, Logprobs, TokenLogprob
from headrace.router.cascade.evidence import answer_evidence
from headrace.router.training.agreement import agreement, support
from headrace.router.training.labelled import Question
from headrace.router.training.record import AGAIN, ANSWER_SCHEMA, CONFIDENCE, GREEDY, SAMPLE, Row, stated_confidence
from headrace.router.training.table import EARLY_TOKENS, HORIZONS, HUNDREDTHS, Answer, Doubt, Entry, Extra

# A margin where only one token was possible.
_WIDEST: Final = 20.0

Forms = Mapping[str, Row]


def compact(questions: Iterable[Question], runs: Mapping[str, Sequence[Row]]) -> list[Entry]:
    """Join runs (model id -> rows) with their questions; a question no model answered is left out."""
    forms = {model: _by_question(rows) for model, rows in runs.items()}
    entries = []
    for one in questions:
        rows = {
            model: found[one.question_id] for model, found in forms.items() if GREEDY in found.get(one.question_id, {})
        }
        if rows:
            answers = {model: _answer(one, model, rows) for model in rows}
            entries.append(Entry(one.question_id, one.kind, one.text, one.as_json, *one.origin, answers, one.split))
    return entries


def entropy(tops: Sequence[float]) -> float:
    """Return the entropy in nats of one place, what is left of the probability counted as one more token."""
    chances = [math.exp(one) for one in tops]
    rest = 1.0 - sum(chances)
    return sum(-one * math.log(one) for one in (*chances, rest) if one > 0.0)


def margin(tops: Sequence[float]) -> float:
    """Return how much likelier the first token was than the second, in nats."""
    first, *others = sorted(tops, reverse=True) or (0.0,)
    return min(first - others[0], _WIDEST) if others else _WIDEST


def _by_question(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row.question_id, {})[row.form] = row
    return found


def _answer(question: Question, model: str, rows: Mapping[str, Forms]) -> Answer:
    forms = rows[model]
    row = forms[GREEDY]
    stated = forms.get(CONFIDENCE)
    percent = stated_confidence(stated.text) if stated else None
    held = support(question, row.text)
    evidence, entropies, margins = _evidence(row)
    others = {name: theirs[GREEDY].text for name, theirs in sorted(rows.items()) if name != model}
    samples = (forms[form] for form in sorted(forms) if form.startswith(SAMPLE))
    return Answer(
        correct=row.correct,
        finish_reason=row.finish_reason,
        prompt_tokens=row.prompt_tokens,
        tokens=row.completion_tokens,
        seconds=row.seconds,
        evidence=[_whole(value) for value in evidence],
        early_ms=[round(second * 1000) for second in row.token_s[:EARLY_TOKENS]],
        doubts=_doubts(entropies, margins),
        samples=[_extra(question, row, one) for one in samples],
        again=_extra(question, row, forms[AGAIN]) if AGAIN in forms else None,
        stated=None if percent is None else round(100 * percent),
        stated_tokens=(stated.prompt_tokens, stated.completion_tokens) if stated else None,
        agreement={name: _whole(agreement(question, row.text, text)) for name, text in others.items()},
        support=None if held is None else _whole(held),
        is_valid=_is_valid(question, row.text) if question.as_json else None,
    )


def _evidence(row: Row) -> tuple[list[float], list[float], list[float]]:
    """Return log-probabilities, entropies and margins of the tokens that the cascade counts as evidence.

    The cascade's own rule picks the places, so that all three series speak of the same tokens.
    """
    places = _counted(row)
    tops = [row.tops[place] for place in places]
    return [row.logprobs[place] for place in places], [entropy(one) for one in tops], [margin(one) for one in tops]


def _counted(row: Row) -> list[int]:
    if not row.as_json:
        return list(range(len(row.tokens)))
    # The rule returns log-probabilities: numbers that each name a place tell which ones it took. What is nearly 0 was
    # rounded to -0.0 and counts; 0.0 was the grammar's.
    named = [
        TokenLogprob(token, 0.0 if math.copysign(1.0, logprob) > 0.0 else -1.0 - place)
        for place, (token, logprob) in enumerate(zip(row.tokens, row.logprobs, strict=True))
    ]
    message = {"role": "assistant", "content": row.text}
    counted = answer_evidence(Choice(message=message, logprobs=Logprobs(content=named)), json=True)
    return [round(-1.0 - value) for value in counted]


def _doubts(entropies: Sequence[float], margins: Sequence[float]) -> list[Doubt]:
    if not entropies:
        return []
    ends = [end for end in HORIZONS if end <= len(entropies)]
    return [_doubt(entropies[:end], margins[:end]) for end in (*ends, len(entropies))]


def _doubt(entropies: Sequence[float], margins: Sequence[float]) -> Doubt:
    figures = (fmean(entropies), max(entropies), fmean(margins), min(margins))
    return Doubt(*(_whole(one) for one in figures))


def _extra(question: Question, first: Row, row: Row) -> Extra:
    return Extra(row.correct, row.completion_tokens, _whole(agreement(question, first.text, row.text)))


def _is_valid(question: Question, text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return bool(jsonschema_rs.is_valid(question.gold.get("schema", ANSWER_SCHEMA), value, offline=True))


def _whole(value: float) -> int:
    return round(value * HUNDREDTHS)
