"""Predicted quality of a policy's backends: what a strategy that weighs quality compares."""

from collections.abc import Callable, Mapping

from headrace.contracts.models import ModelCard
from headrace.contracts.policy import BudgetPacing, Experts, Policy, QualityAtCost
from headrace.router.quality.model import BILLION, LEAST_QUALITY, Candidate, QualityModel, size_in

MOST_QUALITY = 1.0 - LEAST_QUALITY


class BackendQuality:
    """Called with the text of a question, returns backend id -> predicted P(its answer is right), 0.01..0.99.

    Empty for a question unlike all that training met: who weighs quality then falls back to difficulty.
    """

    def __init__(self, model: QualityModel, cards: Mapping[str, ModelCard]) -> None:
        candidates = [Candidate(card.id, card.parameters or size_in(card.id)) for card in cards.values()]
        self._backends = tuple(cards)
        self._predictor = model.bind(candidates)
        self.strangers: Mapping[str, str] = {
            backend: _basis(candidate)
            for backend, candidate in zip(cards, candidates, strict=True)
            if not model.knows(candidate)
        }

    def __call__(self, text: str) -> Mapping[str, float]:
        """Predict for every backend."""
        predicted = self._predictor.predict(text)
        if not predicted.is_familiar:
            return {}
        clipped = predicted.quality.clip(LEAST_QUALITY, MOST_QUALITY)
        return dict(zip(self._backends, clipped.tolist(), strict=True))


def quality_for(policy: Policy, load: Callable[[], QualityModel]) -> BackendQuality | None:
    """Return what predicts for the policy's backends; None, and nothing is loaded, where no rule weighs quality."""
    return BackendQuality(load(), policy.cards) if weighs_quality(policy) else None


def weighs_quality(policy: Policy) -> bool:
    """Tell whether any rule compares predicted quality; where none does, nothing is predicted."""
    uses = (rule.use for model in policy.virtual_models.values() for rule in model.select)
    return any(isinstance(use, QualityAtCost | BudgetPacing | Experts) for use in uses)


def _basis(candidate: Candidate) -> str:
    if candidate.parameters > 0:
        return f"{candidate.name} is in no record: predicted from its size, {candidate.parameters / BILLION:.3g} B"
    return f"{candidate.name} is in no record and its parameters are not known: predicted as an average model"
