"""What can be read off a recorded answer about whether it is right, without knowing the gold answer. Pure.

Every signal is a number that should be higher for right answers; None where the answer does not have it.
"""

from collections.abc import Callable, Mapping
from typing import Final

from headrace.router.training.table import HORIZONS, HUNDREDTHS, Answer, Doubt

LOW_SHARE: Final = 0.1
SELF_CONSISTENCY: Final = "self-consistency, 2 samples"
STATED: Final = "stated confidence"

Signal = Callable[[Answer], float | None]


def signals(models: tuple[str, ...]) -> Mapping[str, Signal]:
    """Return every signal by name; "agreement with M" for each of `models`."""
    named: dict[str, Signal] = {}
    for horizon in (*HORIZONS, None):
        suffix = "" if horizon is None else f", first {horizon}"
        named |= {f"{name}{suffix}": _at(signal, horizon) for name, signal in _TOKENS.items()}
    named["length (fewer is better)"] = lambda answer: -float(answer.tokens)
    named["ended by itself"] = lambda answer: float(answer.finish_reason != "length")
    named[SELF_CONSISTENCY] = _self_consistency
    named[STATED] = _stated
    named["valid JSON"] = lambda answer: None if answer.is_valid is None else float(answer.is_valid)
    named["words from the passage"] = _share(lambda answer: answer.support)
    for model in models:
        named[f"agreement with {model}"] = _agreement_with(model)
    return named


def _mean(values: list[float], _: Doubt) -> float:
    return sum(values) / len(values)


def _least(values: list[float], _: Doubt) -> float:
    return min(values)


def _low(values: list[float], _: Doubt) -> float:
    return sorted(values)[int(len(values) * LOW_SHARE)]


_TOKENS: Final[Mapping[str, Callable[[list[float], Doubt], float]]] = {
    "mean log-probability": _mean,
    "least log-probability": _least,
    "10th percentile of log-probabilities": _low,
    "mean entropy (less is better)": lambda _, doubt: -doubt.mean_entropy / HUNDREDTHS,
    "highest entropy (less is better)": lambda _, doubt: -doubt.most_entropy / HUNDREDTHS,
    "mean top-1 margin": lambda _, doubt: doubt.mean_margin / HUNDREDTHS,
    "least top-1 margin": lambda _, doubt: doubt.least_margin / HUNDREDTHS,
}


def _at(signal: Callable[[list[float], Doubt], float], horizon: int | None) -> Signal:
    """Return the signal over the first `horizon` tokens of evidence; a shorter answer is taken whole."""

    def read(answer: Answer) -> float | None:
        if not answer.evidence or not answer.doubts:
            return None
        if horizon is None or horizon >= len(answer.evidence):
            return signal(answer.logprobs, answer.doubts[-1])
        return signal(answer.logprobs[:horizon], answer.doubts[HORIZONS.index(horizon)])

    return read


def _self_consistency(answer: Answer) -> float | None:
    if not answer.samples:
        return None
    return sum(one.agreement for one in answer.samples) / HUNDREDTHS / len(answer.samples)


def _stated(answer: Answer) -> float | None:
    """Return what the model said of its answer; having been asked and given no number counts as nothing said."""
    if answer.stated_tokens is None:
        return None
    return 0.0 if answer.stated is None else answer.stated / 100.0


def _share(read: Callable[[Answer], int | None]) -> Signal:
    def share(answer: Answer) -> float | None:
        hundredths = read(answer)
        return None if hundredths is None else hundredths / HUNDREDTHS

    return share


def _agreement_with(model: str) -> Signal:
    return _share(lambda answer: answer.agreement.get(model))
