from dataclasses import replace

import pytest

from headrace.contracts.policy import (
    BudgetPacing,
    Epsilon,
    Experts,
    Latency,
    Policy,
    QualityAtCost,
    Rule,
    Use,
    Weighted,
)
from headrace.router.quality.backends import (
    MOST_QUALITY,
    BackendQuality,
    basis,
    candidate_of,
    parameters_in,
    weighs_quality,
)
from headrace.router.quality.model import LEAST_QUALITY, Candidate, QualityModel
from tests.support.quality import UNLIKE, tiny_arrays, tiny_card, tiny_model
from tests.support.routing import auto, card, policy

TEXT = "What is it?"
KNOWN = replace(card("small-1b"), parameters=10**9)
SIZED = replace(card("new-8b"), parameters=8 * 10**9)
CARDS = {"near": KNOWN, "far": replace(card("large-70b"), parameters=70 * 10**9), "new": SIZED, "odd": card("mystery")}


def using(use: Use) -> Policy:
    return policy(auto(select=(Rule("first", None, "small"), Rule("default", None, use))))


def test_every_backend_has_a_quality() -> None:
    found = BackendQuality(tiny_model(), CARDS)(TEXT)
    assert list(found) == list(CARDS)
    assert found["near"] < found["new"] < found["far"]
    assert all(isinstance(value, float) for value in found.values())


def test_strangers_are_named_with_what_they_are_judged_by() -> None:
    assert BackendQuality(tiny_model(), CARDS).strangers == {
        "new": "new-8b is in no record: predicted from its size, 8 B",
        "odd": "mystery is in no record and its parameters are not known: predicted as an average model",
    }


def test_a_url_backend_is_known_by_its_name_upstream() -> None:
    model = tiny_model()
    renamed = replace(card("cloud"), upstream="org/large-70b")
    quality = BackendQuality(model, {**CARDS, "cloud": renamed})
    assert "cloud" not in quality.strangers
    assert quality(TEXT)["cloud"] == quality(TEXT)["far"]


def test_a_configured_name_that_a_record_knows_goes_before_the_one_upstream() -> None:
    model = tiny_model()
    assert candidate_of(replace(KNOWN, upstream="other-8b"), model) == Candidate("small-1b", 10**9)
    assert candidate_of(replace(card("cloud"), upstream="other-8b"), model) == Candidate("other-8b", 8 * 10**9)
    assert candidate_of(replace(card("cloud-8b"), upstream="other"), model) == Candidate("other", 8 * 10**9)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("SmolLM2-135M", 135_000_000),
        ("smollm2:360m", 360_000_000),
        ("500m", 500_000_000),
        ("qwen2.5-7b-instruct-1m", 7 * 10**9),
        ("reader-1m", 0),
        ("gpt-4o-mini", 0),
    ],
)
def test_a_name_tells_its_size_in_millions_too(name: str, parameters: int) -> None:
    assert parameters_in(name) == parameters


def test_a_small_size_is_told_in_millions() -> None:
    assert basis(Candidate("SmolLM-135M", 135_000_000)).endswith("predicted from its size, 135 M")


def test_an_unlike_question_has_no_quality() -> None:
    assert BackendQuality(tiny_model(), CARDS)(UNLIKE) == {}


def test_the_packaged_artefact_calls_a_heap_of_marks_unlike(packaged: QualityModel) -> None:
    quality = BackendQuality(packaged, CARDS)
    assert quality(UNLIKE) == {}
    assert set(quality("What is the capital of France?")) == set(CARDS)


def test_the_packaged_artefact_knows_the_default_tiers(packaged: QualityModel) -> None:
    models = ("smollm2-135m-instruct-int8", "qwen2.5-coder-1.5b-instruct-int8")
    quality = BackendQuality(packaged, {name: card(name) for name in models})
    assert not quality.strangers
    found = quality("What is the capital of France?")
    assert found[models[0]] < found[models[1]]


@pytest.mark.parametrize("level", [-2.0, 3.0])
def test_a_quality_is_never_certain(level: float) -> None:
    arrays = tiny_arrays()
    arrays["values.plain"][:] = level * 3
    model = QualityModel({**tiny_card(), "weights_sha256": "0" * 64}, arrays)
    expected = MOST_QUALITY if level > 0 else LEAST_QUALITY
    assert BackendQuality(model, {"near": KNOWN})(TEXT) == {"near": pytest.approx(expected)}


@pytest.mark.parametrize(
    ("use", "is_weighed"),
    [
        (QualityAtCost(0.5), True),
        (BudgetPacing("large", "small", 100_000, 86_400.0), True),
        (Experts(2), True),
        (Weighted({"small": 0.5, "large": 0.5}), False),
        (Epsilon("small", 0.1), False),
        (Latency("large", 2.0), False),
        ("large", False),
    ],
)
def test_only_what_compares_quality_asks_for_it(use: Use, is_weighed: bool) -> None:
    assert weighs_quality(using(use)) is is_weighed
