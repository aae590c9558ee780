import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.router.difficulty.artefact import write_artefact
from headrace.router.difficulty.counts import COUNT_NAMES
from headrace.router.difficulty.model import LinearDifficulty, known_share, load, moved, unpacked, weigh
from headrace.router.difficulty.ngrams import KNOWN_BITS, TABLE_SIZE, known_bits, ngrams

HARD = "prove"


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    words = np.zeros((TABLE_SIZE, 3), dtype="<f2")
    words[ngrams(HARD).words[0]] = (1.0, 0.0, 1.0)
    known = np.zeros((1 << KNOWN_BITS) // 8, dtype=np.uint8)
    for bit in known_bits(ngrams("hello prove this now").word_hashes):
        known[bit >> 3] |= 1 << (bit & 7)
    counts = np.zeros((len(COUNT_NAMES), 3), dtype="<f4")
    counts[0] = (0.0, 0.1, 0.0)
    return {
        "idf_words": np.ones(TABLE_SIZE, "<f2"),
        "idf_chars": np.ones(TABLE_SIZE, "<f2"),
        "word_weights": words,
        "char_weights": np.zeros(TABLE_SIZE, "<f2"),
        "count_weights": counts,
        "known_words": known,
    }


def card() -> dict[str, Any]:
    return {
        "domains": ["chat", "maths"],
        "base_rate": 0.4,
        "calibration": {"scores": [0.0, 1.0], "values": [0.1, 0.9]},
        "unfamiliar": {"least_known_share": 0.5},
    }


@pytest.fixture
def model(tmp_path: Path) -> LinearDifficulty:
    write_artefact(tmp_path, card(), arrays())
    return load(tmp_path)


def test_a_weighted_word_raises_the_value_and_picks_the_domain(model: LinearDifficulty) -> None:
    easy, hard = model.judge("hello"), model.judge("prove this")
    assert (easy.value, easy.domain, easy.unfamiliar) == (pytest.approx(0.1), "chat", False)
    assert hard.value > 0.3
    assert hard.domain == "maths"
    assert hard.artefact == model.sha256[:12]


def test_unknown_words_and_no_words_are_unfamiliar_and_never_easier_than_the_average(model: LinearDifficulty) -> None:
    for text in ("zxq wvut", "", "   ", "?!", "法国的首都"):
        judged = model.judge(text)
        assert judged.unfamiliar
        assert judged.value >= 0.4


def test_words_and_characters_are_scaled_to_unit_length_each() -> None:
    slots, values, words = weigh(ngrams("one two two three").slots, np.ones(2 * TABLE_SIZE, dtype=np.float32))
    assert np.unique(slots).size == slots.size
    assert float(values[:words] @ values[:words]) == pytest.approx(1.0)
    assert float(values[words:] @ values[words:]) == pytest.approx(1.0)


def test_the_share_of_known_words_is_counted_with_repeats() -> None:
    known = unpacked(arrays()["known_words"])
    assert known_share(ngrams("hello hello zxq wvut").word_hashes, known) == 0.5
    assert known_share(ngrams("").word_hashes, known) == 0.0


def test_missing_keys_and_wrong_shapes_are_refused(tmp_path: Path) -> None:
    write_artefact(tmp_path, {**card(), "domains": ["chat"]}, arrays())
    with pytest.raises(ConfigError, match="word_weights"):
        load(tmp_path)
    write_artefact(tmp_path, {"domains": []}, arrays())
    with pytest.raises(ConfigError, match="base_rate"):
        load(tmp_path)


def test_the_packaged_artefact_tells_easy_from_hard() -> None:
    packaged = load()
    easy = packaged.judge("What is the capital of France?")
    sums = packaged.judge(
        "A baker makes 24 trays of 12 rolls every morning. She sells 3/4 of them at $2 each, gives 18 to a shelter and "
        "freezes the rest. How much money does she make in a week, and how many rolls does she freeze in total?"
    )
    code = packaged.judge("Write a Python function that returns the longest palindrome in a string.")
    assert not easy.unfamiliar
    assert (easy.domain, sums.domain, code.domain) == ("knowledge", "maths", "code")
    assert easy.value + 0.1 < min(sums.value, code.value)


def test_the_packaged_artefact_is_quick() -> None:
    packaged = load()
    text = ("A farmer has 17 sheep and buys 5 more each week; how many are there after a year? " * 30)[:2_000]
    packaged.judge(text)
    times = []
    for _ in range(50):
        started = time.thread_time()
        packaged.judge(text)
        times.append(time.thread_time() - started)
    assert min(times) < 0.001


def test_an_offset_moves_the_logit_and_nothing_else() -> None:
    assert moved(0.3, 0.0) == 0.3
    assert moved(0.5, 1.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert [moved(edge, 2.0) for edge in (0.0, 1.0)] == [0.0, 1.0]
    assert moved(moved(0.3, 1.2), -1.2) == pytest.approx(0.3)
