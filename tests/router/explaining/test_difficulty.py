import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.router.difficulty.artefact import read_artefact
from headrace.router.difficulty.model import PACKAGED, load
from headrace.router.difficulty.ngrams import cut, ngrams
from headrace.router.explaining.difficulty import MARKS, DifficultyWeights, _names

MODEL = load()
WEIGHTS = DifficultyWeights(*read_artefact(PACKAGED))
TEXTS = (
    "A train leaves at 9:40 and is 25 minutes late. When does it arrive if it needs 3 hours?",
    "hi",
    "",
    "!?",
    "Schön, größer — 漢字 und 你好",
    "def f(x):\n\treturn x ** 2  # again and again and again",
    "word " * 2_000,
    "\ud800 a lone surrogate",
)


@pytest.mark.parametrize("text", TEXTS)
def test_the_parts_add_up_to_the_raw_score(text: str) -> None:
    total = sum(part.value for part in WEIGHTS.parts(text))
    assert total == pytest.approx(MODEL.parts(text).score, abs=2e-5)


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=400))
def test_the_parts_of_any_text_add_up(text: str) -> None:
    total = sum(part.value for part in WEIGHTS.parts(text))
    assert total == pytest.approx(MODEL.parts(text).score, abs=2e-5)


def test_each_ngram_has_the_name_of_what_it_is_made_of() -> None:
    text = "Seven brown foxes"
    slots, names = ngrams(cut(text)).slots, [*_names(text)]
    for place, word in enumerate(("seven", "brown", "foxes")):
        assert names[place] == ("word", word)
        assert slots[place] == ngrams(word).slots[0]
    assert names[3:5] == [("pair", "seven brown"), ("pair", "brown foxes")]
    assert slots[3] == ngrams("seven brown").slots[2]
    assert {name for name in names[5:] if name[0] == "marks"} == {("marks", MARKS)}
    triples = ngrams("brown").slots[1:6]  # " br", "bro", "row", "own", "wn "
    owners = [name for slot, name in zip(slots, names, strict=True) if np.isin(slot, triples)]
    assert set(owners[:5]) == {("word", "brown")}


def test_the_start_stands_first_and_the_heaviest_follow() -> None:
    first, *rest = WEIGHTS.parts(TEXTS[0])
    assert first.kind == "start"
    sizes = [abs(part.value) for part in rest]
    assert sizes == sorted(sizes, reverse=True)
