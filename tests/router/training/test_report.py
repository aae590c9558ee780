from headrace.router.training.evaluate import Evaluation
from headrace.router.training.metrics import Interval, Measured
from headrace.router.training.report import BEGIN, END, replaced, tables

MEASURED = Measured(
    apgr=Interval(0.6, 0.55, 0.65),
    cpt50=Interval(0.36, 0.3, 0.4),
    cpt80=Interval(0.66, 0.6, 0.7),
    half_accuracy=0.776,
    versus_length=Interval(0.02, -0.01, 0.05),
)
CARD = {
    "examples": 19_000,
    "base_rate": 0.3,
    "held_out": {
        "brier": 0.14,
        "brier_of_base_rate": 0.17,
        "expected_calibration_error": 0.003,
        "domain_accuracy": 0.94,
    },
}


def text() -> str:
    evaluation = Evaluation(
        name="GSM8K",
        questions=1018,
        weak=0.65,
        strong=0.85,
        routers={"prompt length": MEASURED},
        shuffled=Interval(0.5, 0.45, 0.55),
        held_out_subjects={"prompt length": MEASURED},
    )
    return tables([evaluation], CARD, 2000)


def test_every_figure_is_told_with_its_interval() -> None:
    page = text()
    row = "| prompt length | 0.600 [0.550, 0.650] | +0.020 [-0.010, +0.050] | 36% [30, 40] | 66% [60, 70] | 77.6 |"
    assert page.count(row) == 2
    assert "| always weak | 0 | | | | 65.0 |" in page
    assert "mean APGR 0.500" in page
    assert "2,000 resamples" in page
    assert "94.0%" in page


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = f"# Title\n\nWords.\n\n{BEGIN}\nstale words\n{END}\n\nMore.\n"
    new = replaced(page, text())
    assert new.startswith("# Title\n\nWords.\n\n")
    assert new.endswith("\n\nMore.\n")
    assert "stale words" not in new
    assert replaced(new, text()) == new


def test_a_page_without_marks_gets_the_tables_at_its_end() -> None:
    assert replaced("# Title\n", text()).startswith("# Title\n\n")
    assert replaced("", text()).startswith(BEGIN)
