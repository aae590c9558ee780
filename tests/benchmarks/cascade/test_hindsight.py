from decimal import Decimal

from benchmarks.cascade.hindsight import thresholded
from headrace.contracts.models import ModelCard, Price
from headrace.router.training.compose import cost_of
from headrace.router.training.table import Answer, Entry

SMALL, LARGE = (
    ModelCard(name, 2048, frozenset(), Price(Decimal(price), Decimal(10 * price)))
    for name, price in (("small", 1), ("large", 10))
)


def answer(*, correct: bool) -> Answer:
    return Answer(
        correct=correct, finish_reason="stop", prompt_tokens=10, tokens=6, seconds=1, evidence=[], early_ms=[]
    )


def entry(text: str) -> Entry:
    answers = {"small": answer(correct=False), "large": answer(correct=True)}
    return Entry(text, "fact", text, as_json=False, origin="", license="", answers=answers)


def test_the_best_rule_stays_within_its_budget() -> None:
    entries = [entry(f"q{number}") for number in range(10)]
    costs = [cost_of(card, entries[0].answers[card.id]) for card in (SMALL, LARGE)]
    chosen = thresholded(entries, lambda one: float(one.text[1:]), SMALL, LARGE, sum(costs) / 2)
    assert [one.model for one in chosen] == ["small"] * 5 + ["large"] * 5
