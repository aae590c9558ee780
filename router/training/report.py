"""Writes the evaluation as a page. Decides nothing: every figure comes from evaluate or from the artefact's card."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.router.training.evaluate import Evaluation
from headrace.router.training.metrics import Measured

BEGIN: Final = "<!-- begin: written by `headrace router eval` -->"
END: Final = "<!-- end: written by `headrace router eval` -->"

_HEAD: Final = (
    "| router | APGR [95%] | minus prompt length [95%] | CPT50 [95%] | CPT80 [95%] | accuracy at 50% strong |\n"
    "|---|---|---|---|---|---|\n"
)


def tables(evaluations: Sequence[Evaluation], card: Mapping[str, Any], resamples: int) -> str:
    """Return the tables between their marks."""
    parts = [BEGIN, "", f"Intervals: bootstrap by group, {resamples:,} resamples; differences are paired.", ""]
    for one in evaluations:
        parts += [_evaluation(one), ""]
    parts += [_card(card), "", END]
    return "\n".join(parts)


def replaced(page: str, text: str) -> str:
    """Return the page with what stands between the marks replaced; appended when there are none."""
    if BEGIN not in page or END not in page:
        return f"{page.rstrip()}\n\n{text}\n" if page else f"{text}\n"
    before, rest = page.split(BEGIN, 1)
    return f"{before}{text}{rest.split(END, 1)[1]}"


def _evaluation(one: Evaluation) -> str:
    gap = one.strong - one.weak
    ends = (
        f"| always weak | 0 | | | | {100 * one.weak:.1f} |\n"
        f"| always strong | 1 at share 100% | | | | {100 * one.strong:.1f} |\n"
        f"| random, expected | 0.500 | | 50% | 80% | {100 * (one.weak + gap / 2):.1f} |\n"
    )
    text = f"### {one.name}: {one.questions:,} questions\n\n{_HEAD}{ends}{_rows(one.routers)}"
    text += (
        f"\nShuffled labels, the recipe trained on them: mean APGR {one.shuffled.value:.3f} "
        f"(least {one.shuffled.low:.3f}, most {one.shuffled.high:.3f}); chance is 0.5.\n"
    )
    if one.held_out_subjects is not None:
        text += f"\nWhole subjects held out (five folds of subjects):\n\n{_HEAD}{_rows(one.held_out_subjects)}"
    return text


def _rows(routers: Mapping[str, Measured]) -> str:
    return "".join(_row(name, measured) for name, measured in routers.items())


def _row(name: str, one: Measured) -> str:
    difference = f"{one.versus_length.value:+.3f} [{one.versus_length.low:+.3f}, {one.versus_length.high:+.3f}]"
    shares = [f"{100 * x.value:.0f}% [{100 * x.low:.0f}, {100 * x.high:.0f}]" for x in (one.cpt50, one.cpt80)]
    return f"| {name} | {one.apgr} | {difference} | {shares[0]} | {shares[1]} | {100 * one.half_accuracy:.1f} |\n"


def _card(card: Mapping[str, Any]) -> str:
    held = card["held_out"]
    return (
        "### The shipped artefact, out of fold on its own training data\n\n"
        f"{card['examples']:,} examples, base rate of the gain {card['base_rate']:.3f}. "
        f"Brier score {held['brier']:.4f} (base rate alone {held['brier_of_base_rate']:.4f}), "
        f"expected calibration error {held['expected_calibration_error']:.4f}, "
        f"domain right on {100 * held['domain_accuracy']:.1f}% of a held-out fold."
    )
