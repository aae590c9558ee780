from pathlib import Path

import pytest

from headrace.router.training.assemble import (
    SMALL,
    domain_of_kind,
    fold_of,
    live_examples,
    seed_examples,
    training_examples,
    without,
)
from headrace.router.training.corpus import Example
from headrace.router.training.labelled import Question, draw, read_labelled
from headrace.router.training.roles import DOMAINS
from headrace.router.training.table import Answer, Entry, write_table


def answer(*, correct: bool) -> Answer:
    return Answer(
        correct=correct, finish_reason="stop", prompt_tokens=3, tokens=2, seconds=0.1, evidence=[-1], early_ms=[1]
    )


def entry(*, small: bool, large: bool, as_json: bool = False) -> Entry:
    answers = {SMALL: answer(correct=small), "large": answer(correct=large)}
    return Entry("easy-1", "fact", "What is the name of pond number 5?", as_json, "here", "CC0-1.0", answers)


def test_the_live_gain_is_one_where_the_small_tier_is_wrong() -> None:
    gains = [
        live_examples([entry(small=small, large=large)])[0].gain
        for small, large in ((False, True), (True, True), (False, False))
    ]
    assert gains == [1.0, 0.0, 1.0]


def test_json_twins_and_questions_the_small_tier_missed_teach_no_gain() -> None:
    assert live_examples([entry(small=False, large=True, as_json=True)]) == []
    assert (
        live_examples(
            [Entry("q", "fact", "?", as_json=False, origin="", license="", answers={"large": answer(correct=True)})]
        )
        == []
    )


def test_questions_kept_for_the_benchmark_are_left_out(data: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "table", [entry(small=False, large=True)])
    texts = {one.text for one in training_examples(data, tmp_path / "table")}
    _, kept_back = draw(read_labelled(data))
    overlap = texts & {one.text for one in kept_back}
    assert not overlap
    assert "What is the name of pond number 5?" in texts


def test_a_public_question_of_the_test_split_is_left_out(data: Path, tmp_path: Path) -> None:
    public = "zeroeval_crux:1"
    tested = Entry(public, "crux", "?", as_json=False, origin="", license="", answers={}, split="test")
    write_table(tmp_path / "table", [entry(small=False, large=True), tested])
    ids = {one.question_id for one in training_examples(data, tmp_path / "table")}
    assert public not in ids
    assert "zeroeval_crux:2" in ids


def test_a_public_twin_of_a_kept_question_is_left_out() -> None:
    kept = Question("h", "humaneval", "Write f. def f(x):", "python_tests", {"prompt": "def f(x):\n"})
    public = [
        Example(str(number), text, "s", "mbpp", "code", str(number), 0, 0.0, 1.0, 1.0)
        for number, text in enumerate(("DEF f(x):", "write f.  def f(x):", "def g(x):"))
    ]
    assert [one.text for one in without(public, [kept])] == ["def g(x):"]


def test_seeds_cover_everyday_domains_and_teach_no_gain() -> None:
    seeds = seed_examples()
    assert {one.domain for one in seeds} <= set(DOMAINS)
    assert {"chat", "code", "knowledge", "maths", "language"} <= {one.domain for one in seeds}
    assert all(one.gain is None and one.text for one in seeds)


@pytest.mark.parametrize(("kind", "domain"), [("gsm8k_few", "maths"), ("humaneval", "code"), ("fact", "knowledge")])
def test_every_kind_has_a_domain(kind: str, domain: str) -> None:
    assert domain_of_kind(kind) == domain


def test_folds_are_stable() -> None:
    assert [fold_of(name) for name in ("a", "b", "c")] == [fold_of(name) for name in ("a", "b", "c")]
    assert all(0 <= fold_of(str(number)) < 5 for number in range(50))
