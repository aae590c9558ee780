from pathlib import Path

from headrace.router.training import table, yardstick


def test_both_sets_are_evaluated(data: Path) -> None:
    assert table.PACKAGED.exists()
    gsm8k, mmlu = yardstick.evaluations(data, resamples=3)
    assert (gsm8k.name, gsm8k.questions) == ("GSM8K", 60)
    assert (mmlu.name, mmlu.questions) == ("MMLU", 60)
    assert mmlu.held_out_subjects is not None
