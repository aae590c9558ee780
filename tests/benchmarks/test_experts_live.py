from benchmarks.cascade_live import LARGE, SMALL
from benchmarks.experts_live import SHORT, panels, strategies, tabulate
from headrace.gateway.settings.load import load, packaged
from headrace.router.cascade.acceptance import CalibratedJudge
from headrace.router.difficulty.model import load as load_difficulty
from headrace.router.training.compose import Composer
from headrace.router.training.table import Answer, Entry
from headrace.router.training.tune import ladder

MIDDLE = "qwen2.5-coder-0.5b-instruct-int8"
POLICY = load(packaged("three-tier")).policy


def answer(*, correct: bool, agreement: dict[str, int]) -> Answer:
    return Answer(
        correct=correct,
        finish_reason="stop",
        prompt_tokens=10,
        tokens=20,
        seconds=1.0,
        evidence=[-10],
        early_ms=[10],
        agreement=agreement,
    )


def entry(number: int) -> Entry:
    """Return a question on which the two small models agree on the right answer and the large one is wrong."""
    answers = {
        LARGE: answer(correct=False, agreement={SMALL: 0, MIDDLE: 0}),
        MIDDLE: answer(correct=True, agreement={SMALL: 100, LARGE: 0}),
        SMALL: answer(correct=True, agreement={MIDDLE: 100, LARGE: 0}),
    }
    return Entry(f"q{number}", "fact", "What is 2?", as_json=False, origin="", license="", answers=answers)


def test_every_panel_of_two_and_three_is_seated_strongest_first() -> None:
    found = [tuple(SHORT[card.id] for card in members) for members in panels(ladder(POLICY))]
    assert found == [("1.5B", "0.5B"), ("1.5B", "135M"), ("0.5B", "135M"), ("1.5B", "0.5B", "135M")]


def test_a_majority_gains_over_the_best_single_and_pays_for_all() -> None:
    composer = Composer(POLICY, "headrace/auto", load_difficulty(), CalibratedJudge({}))
    found = strategies(composer, ladder(POLICY), [entry(number) for number in range(4)])
    assert len(found) == 3 + 4 * 2 + 1
    rivals = dict.fromkeys(found, "1.5B alone")
    lines = {line.place[2:]: line.interval for line in tabulate("all", found, rivals, ("135M alone", "1.5B alone"))}
    three = "1.5B + 0.5B + 135M, vote"
    assert lines[three, "right_percent"].value == 100.0
    assert lines[three, "minus_best_single_points"].value == 100.0
    assert lines[three, "minus_best_constant_of_its_cost_points"].value == 100.0
    assert lines[three, "cost_times_best_single"].value > 1.0
    assert lines["1.5B alone", "minus_random_points"].value == 0.0
    assert lines["oracle", "right_percent"].value == 100.0
