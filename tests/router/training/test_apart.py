from dataclasses import replace

from headrace.contracts.routing import Difficulty
from headrace.router.training.apart import judged_apart
from headrace.router.training.assemble import fold_of
from headrace.router.training.corpus import Example
from headrace.router.training.table import Entry


def example(number: int) -> Example:
    hard = number % 2 == 1
    word = "derive the integral of the function" if hard else "name the capital of the country"
    name = f"q{number}"
    return Example(
        question_id=name,
        text=f"Please {word} number {number}?",
        source="default_tiers",
        subject="s",
        domain="maths" if hard else "knowledge",
        group=name,
        fold=fold_of(name),
        small=float(not hard),
        large=1.0,
        gain=float(hard),
        weight=1.0,
    )


def test_every_question_is_judged_by_a_model_that_has_not_met_it_and_a_twin_with_it() -> None:
    examples = [example(number) for number in range(60)]
    others = [replace(example(number), question_id=f"other-{number}") for number in range(60, 120)]
    entries = [
        Entry(one.question_id, "fact", one.text, as_json=False, origin="", license="", answers={}) for one in examples
    ]
    twin = Entry("q0#json", "fact", f"{examples[0].text} As JSON.", as_json=True, origin="", license="", answers={})
    found = judged_apart([*examples, *others], [*entries, twin])
    assert set(found) == {one.question_id for one in (*entries, twin)}
    assert all(isinstance(one, Difficulty) for one in found.values())
    assert found["q1"].value > found["q0"].value
    assert found["q1"].domain == "maths"
