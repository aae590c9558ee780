import msgspec
import pytest

from headrace.contracts.chat import Message
from headrace.contracts.policy import QualityAtCost, Rule
from headrace.contracts.routing import Load, Pace
from headrace.router.difficulty.artefact import read_artefact
from headrace.router.difficulty.model import PACKAGED, load
from headrace.router.explaining.difficulty import DifficultyWeights
from headrace.router.explaining.explanation import explained, held
from headrace.router.explaining.nearest import load as load_index
from headrace.router.policies.planner import decide
from headrace.router.policies.survey import Ask
from tests.support.quality import tiny_model
from tests.support.routing import auto, call, card, features, policy

TEXT = "What is the capital of France?"
CARDS = {"small-backend": card("small-1b"), "large-backend": card("large-70b", price="10")}


def ask(**signals: object) -> Ask:
    model = auto(select=(Rule("only", None, QualityAtCost(0.1)),), on_low_confidence=None)
    return Ask(
        policy(model, cards=CARDS),
        call(messages=(Message("user", TEXT),)),
        features(**signals),
        is_live=lambda _: True,
        is_calibrated=lambda _model, _domain: True,
    )


def test_everything_is_told_where_everything_is_given() -> None:
    made = ask(quality={"small-backend": 0.4, "large-backend": 0.8})
    weights = DifficultyWeights(*read_artefact(PACKAGED))
    told = explained(made, decide(made), weights=weights, quality=tiny_model(), index=load_index())
    assert [each.tier for each in told.candidates] == ["small", "large"]
    assert told.score == pytest.approx(load().parts(TEXT).score, abs=2e-5)
    assert told.gain is not None
    assert (told.gain.weak, told.gain.strong) == ("small-1b", "large-70b")
    assert {change.what for change in told.changes} >= {"lambda", "quality of small-backend"}
    assert told.nearest[0].text == TEXT


def test_what_is_not_given_is_left_out() -> None:
    made = ask()
    told = explained(made, decide(made))
    assert (told.parts, told.gain, told.nearest) == ((), None, ())
    assert told.candidates


def test_an_unfamiliar_question_has_no_predicted_gain() -> None:
    made = ask()
    assert explained(made, decide(made), quality=tiny_model()).gain is None


def test_one_able_tier_has_no_gain_over_another() -> None:
    cards = {**CARDS, "small-backend": card("small-1b", context_tokens=4)}
    model = auto(select=(Rule("only", None, QualityAtCost(0.1)),), on_low_confidence=None)
    made = Ask(
        policy(model, cards=cards),
        call(),
        features(quality={"small-backend": 0.4, "large-backend": 0.8}),
        is_live=lambda _: True,
        is_calibrated=lambda _model, _domain: True,
    )
    assert explained(made, decide(made), quality=tiny_model()).gain is None


def test_what_is_measured_is_held_still() -> None:
    up, spent = {"small-backend": True, "large-backend": True}, [1.0]
    made = msgspec.structs.replace(
        ask(),
        is_live=lambda backend: up[backend],
        load=lambda _, __: Load(wait_s=spent[0]),
        pace=lambda _, __: Pace(0, 0, spent[0]),
    )
    still = held(made)
    up["small-backend"], spent[0] = False, 2.0
    assert still.is_live("small-backend")
    assert still.load("small", "small-backend") == Load(wait_s=1.0)
    assert still.pace("headrace/auto", "only") == Pace(0, 0, 1.0)
    assert still.pace("headrace/auto", "no such rule") is None
