import math
from pathlib import Path

import pytest

from headrace.contracts.errors import StoreError
from headrace.retrieval.search import rerank
from headrace.retrieval.search.rerank import CrossEncoder, LazyReranker
from tests.support.tiny_reranker import write_reranker

NEVER = math.inf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_reranker(tmp_path)
    return tmp_path


class Clock:
    """Ticks by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time, and let a second pass."""
        self.now += 1
        return self.now


def test_passages_are_scored_one_by_one_and_the_question_does_not_count_as_passage(folder: Path) -> None:
    encoder = CrossEncoder(folder)
    assert encoder.score("cat cat", ["cat dog", "tax", "cat"], deadline=NEVER) == pytest.approx([4, -3, 3])
    assert encoder.score("cat", [], deadline=NEVER) == []


def test_company_in_a_batch_changes_nothing(folder: Path) -> None:
    many = ["cat", "dog " * 50, "tax law", ""] * 6
    alone = [CrossEncoder(folder).score("law", [one], deadline=NEVER)[0] for one in many]
    assert CrossEncoder(folder).score("law", many, deadline=NEVER) == pytest.approx(alone, abs=1e-5)


def test_a_text_over_the_limit_is_cut(folder: Path) -> None:
    encoder = CrossEncoder(folder)
    (long,) = encoder.score("law", ["dog " * 5_000], deadline=NEVER)
    assert 200 < long < rerank.MOST_TOKENS
    (both,) = encoder.score("law " * 5_000, ["dog " * 5_000], deadline=NEVER)
    assert 0 < both < rerank.MOST_TOKENS


def test_no_batch_is_begun_that_would_be_over_the_deadline(folder: Path) -> None:
    passages = ["cat"] * 8 + ["dog"] * 8 + ["tax"] * 8
    encoder = CrossEncoder(folder, clock=Clock())
    assert encoder.score("law", passages, deadline=0.5) == []
    assert encoder.score("law", passages, deadline=5.5) == [3.0] * 8 + [1.0] * 8
    remembered = encoder.score("law", passages, deadline=0.0)
    assert remembered == [3.0] * 8 + [1.0] * 8


def test_what_was_read_is_remembered_up_to_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "_CACHED", 2)
    encoder = CrossEncoder(folder, clock=Clock())
    encoder.score("law", ["cat", "dog", "tax"], deadline=NEVER)
    assert encoder.score("law", ["dog", "tax"], deadline=0.0) == [1.0, -3.0]
    assert encoder.score("law", ["cat"], deadline=0.0) == []
    assert encoder.score("dog", ["dog"], deadline=0.0) == []


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="incomplete"):
        CrossEncoder(tmp_path)


def test_a_lazy_one_is_loaded_once_when_it_is_asked(folder: Path) -> None:
    loaded: list[Path] = []

    def load() -> CrossEncoder:
        loaded.append(folder)
        return CrossEncoder(folder)

    lazy = LazyReranker(load)
    assert not loaded
    assert [lazy.score("law", [text], deadline=NEVER) for text in ("cat", "tax")] == [[3.0], [-3.0]]
    assert loaded == [folder]
