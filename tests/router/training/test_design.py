import numpy as np

from headrace.router.difficulty.model import weigh
from headrace.router.difficulty.ngrams import TABLE_SIZE, cut, ngrams
from headrace.router.training.design import Design, Scaling

TEXTS = ("How many apples are left?", "Write a function that adds two numbers.", "?!", "apples apples apples")


def test_training_sees_the_values_that_serving_computes() -> None:
    design = Design.of(TEXTS)
    scaling = Scaling.fit(design)
    idf = np.concatenate((scaling.idf_words, scaling.idf_chars))
    words, chars = scaling.words_and_counts(design), scaling.chars(design)
    for row, text in enumerate(TEXTS):
        slots, values, count = weigh(ngrams(cut(text)).slots, idf)
        np.testing.assert_allclose(words[[row]].toarray()[0, slots[:count]], values[:count], rtol=1e-5)
        np.testing.assert_allclose(chars[[row]].toarray()[0, slots[count:] - TABLE_SIZE], values[count:], rtol=1e-5)


def test_rows_are_cut_out_together() -> None:
    part = Design.of(TEXTS).rows(np.array([2, 0]))
    assert part.words.shape[0] == part.chars.shape[0] == part.counts.shape[0] == len(part.word_hashes) == 2
    assert part.word_hashes[0].size == 0


def test_a_count_that_never_changes_is_left_out() -> None:
    scaling = Scaling.fit(Design.of(TEXTS))
    assert scaling.count_scale[0] == 0.0
