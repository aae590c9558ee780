import msgspec
import pytest

from headrace.router.training.signals import signals
from headrace.router.training.table import Answer, Doubt, Extra

ANSWER = Answer(
    correct=True,
    finish_reason="stop",
    prompt_tokens=1,
    tokens=10,
    seconds=1.0,
    evidence=[-10] * 8 + [-200, -30],
    early_ms=[],
    doubts=[Doubt(10, 20, 300, 100), Doubt(40, 90, 200, 5)],
    samples=[Extra(correct=True, tokens=3, agreement=100), Extra(correct=False, tokens=3, agreement=0)],
    stated=80,
    stated_tokens=(30, 2),
    agreement={"big": 100},
    support=25,
    is_valid=False,
)
BARE = Answer(correct=True, finish_reason="length", prompt_tokens=1, tokens=0, seconds=1.0, evidence=[], early_ms=[])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean log-probability", -0.31),
        ("mean log-probability, first 8", -0.1),
        ("mean log-probability, first 16", -0.31),
        ("least log-probability", -2.0),
        ("10th percentile of log-probabilities", -0.3),
        ("mean entropy (less is better), first 8", -0.1),
        ("highest entropy (less is better)", -0.9),
        ("mean top-1 margin", 2.0),
        ("least top-1 margin, first 8", 1.0),
        ("length (fewer is better)", -10.0),
        ("ended by itself", 1.0),
        ("self-consistency, 2 samples", 0.5),
        ("stated confidence", 0.8),
        ("agreement with big", 1.0),
        ("words from the passage", 0.25),
        ("valid JSON", 0.0),
    ],
)
def test_a_signal_is_read_off_the_record(name: str, value: float) -> None:
    assert signals(("big",))[name](ANSWER) == pytest.approx(value)


def test_an_answer_without_a_signal_has_none() -> None:
    found = {name: signal(BARE) for name, signal in signals(("big",)).items()}
    assert {name for name, value in found.items() if value is not None} == {
        "length (fewer is better)",
        "ended by itself",
    }


def test_a_model_that_was_asked_and_gave_no_number_states_nothing() -> None:
    silent = msgspec.structs.replace(ANSWER, stated=None)
    assert signals(())["stated confidence"](silent) == 0.0
