"""The evaluation that the documentation shows: all open questions of GSM8K and MMLU, RouteLLM's pair of models."""

from pathlib import Path

from headrace.router.training.assemble import training_examples
from headrace.router.training.corpus import Example, read_lines, read_source
from headrace.router.training.evaluate import Evaluation, evaluate

GSM8K = "routellm_gsm8k"
MMLU = "routellm_mmlu"


def evaluations(folder: Path, *, resamples: int) -> list[Evaluation]:
    """Evaluate both sets; Mixtral-8x7B-Instruct is the weak model, gpt-4-1106-preview the strong one."""
    shipped = training_examples(folder)
    gsm8k, mmlu = read_source(folder, GSM8K), read_source(folder, MMLU)
    return [
        evaluate("GSM8K", gsm8k, _others(shipped, GSM8K), resamples=resamples),
        evaluate("MMLU", mmlu, _others(shipped, MMLU), subject_fold=_subject_folds(folder, mmlu), resamples=resamples),
    ]


def _others(examples: list[Example], source: str) -> list[Example]:
    return [one for one in examples if one.source != source]


def _subject_folds(folder: Path, examples: list[Example]) -> list[int]:
    rows = read_lines(folder / "routing" / MMLU / "questions.jsonl.gz")
    folds = {row["question_id"]: row["subject_fold"] for row in rows}
    return [folds[one.question_id] for one in examples]
