import pytest

from headrace.contracts.retrieval import Hit, Passage
from headrace.retrieval.search.evidence import Evidence, coverage, evidence, relevance, squash, support


def hit(text: str, score: float, **stages: float) -> Hit:
    return Hit(Passage(1, "file", "a.txt", text, 0, len(text), 1), score, stages)


def test_nothing_found_is_no_support() -> None:
    assert evidence([], "where is the dam") == Evidence()


def test_a_near_passage_with_the_words_supports_and_a_far_one_does_not() -> None:
    near = evidence([hit("the dam stands above the town", 0.9, lexical=7.0, dense=0.72)], "where does the dam stand")
    far = evidence([hit("tax is due in may", 0.1, dense=0.15)], "where does the dam stand")
    assert near.support > 0.9
    assert far.support < 0.01
    assert near.coverage == 1
    assert far.agreement == 0
    assert near.agreement == 1


def test_gap_and_count_are_of_the_scores() -> None:
    found = evidence([hit("dam", score, dense=0.5) for score in (0.9, 0.6, 0.2)], "dam")
    assert (found.top, found.gap, found.over) == (0.9, pytest.approx(0.3), 2)
    assert evidence([hit("dam", 0.4, dense=0.5)], "dam").gap == 0.4


def test_without_vectors_words_speak_alone() -> None:
    full = evidence([hit("the dam above the town", 0.9, lexical=3.0)], "dam town").support
    none = evidence([hit("a tax", 0.9, lexical=3.0)], "dam town").support
    assert none < 0.05
    assert full > 0.9


def test_coverage_counts_words_by_their_beginnings_and_not_the_commonest() -> None:
    assert coverage("how are the rivers flooding", "A river flooded the town.") == 1
    assert coverage("rivers and taxes", "a river") == 0.5
    assert coverage("?!", "a river") == 0


def test_all_grow_with_what_they_weigh_and_stay_within_0_and_1() -> None:
    assert 0 < support(0.2, 0.0) < support(0.2, 1.0) < support(0.8, 1.0) < 1
    assert 0 < relevance(0.3, 0.0) < relevance(0.3, 1.0) < relevance(0.8, 1.0) < 1
    assert squash(-1e9) == pytest.approx(0)
    assert squash(1e9) == pytest.approx(1)
