import pytest

from headrace.router.explaining.quality import gain_parts
from headrace.router.quality.model import Candidate, load
from tests.support.quality import GAIN_PER_DECADE, SLOPE, tiny_model

WEAK, STRONG = Candidate("small-1b"), Candidate("large-70b")


def test_the_gain_is_that_of_the_model() -> None:
    model = load()
    weak, strong = Candidate("gemma-2-2b-it"), Candidate("gpt-4o-2024-08-06")
    text = "Tom has 12 apples and gives away 5. How many are left?"
    gain = gain_parts(model, weak, strong, text)
    predicted = model.bind([weak, strong]).predict(text).quality
    assert gain.value == pytest.approx(float(predicted[1] - predicted[0]))
    assert gain.panel in model.panels
    assert gain.parts[0].name


def test_a_feature_counts_what_the_gain_loses_without_it() -> None:
    gain = gain_parts(tiny_model(), WEAK, STRONG, "x" * 80)
    assert [part.name for part in gain.parts][:1] == ["chars"]
    (chars,) = (part for part in gain.parts if part.name == "chars")
    assert chars.value == pytest.approx(80)
    assert chars.usual == pytest.approx(0)
    # In the long leaf the first panel gains 0.5, in the short one, where the mean falls, 0.375. The second panel met
    # only one of the two; for it stands the forest over all, with 0.1 more or less a decade of skill.
    decades = (0.45 + 0.5) / 2 / SLOPE
    assert chars.gain == pytest.approx((0.5 * (0.5 - 0.375) + 0.15 * 2 * GAIN_PER_DECADE * decades) / 0.65, abs=0.01)


def test_what_moves_nothing_is_left_out() -> None:
    assert all(abs(part.gain) > 5e-5 for part in gain_parts(tiny_model(), WEAK, STRONG, "short").parts)
