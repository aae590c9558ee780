"""Predicted quality of a policy's backends: what a strategy that weighs quality compares."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from headrace.contracts.models import ModelCard
from headrace.contracts.policy import BudgetPacing, Experts, Policy, QualityAtCost
from headrace.router.difficulty.model import moved
from headrace.router.quality.model import BILLION, LEAST_QUALITY, Candidate, QualityModel, plain, size_in

MOST_QUALITY = 1.0 - LEAST_QUALITY
MILLION: Final = 10**6
# Two digits at least: "-1m" tells of a context of a million tokens.
_MILLIONS: Final = re.compile(r"(?<![a-z0-9.])(\d{2,4})m(?![a-z0-9])", re.IGNORECASE)


class BackendQuality:
    """Called with a question and its domain, returns backend id -> predicted P(its answer is right), 0.01..0.99.

    Empty for a question unlike all that training met: who weighs quality then falls back to difficulty.
    """

    def __init__(self, model: QualityModel, cards: Mapping[str, ModelCard]) -> None:
        candidates = [candidate_of(card, model) for card in cards.values()]
        self.model = model
        self._offsets = _offsets(model, cards)
        self._backends = tuple(cards)
        self._predictor = model.bind(candidates)
        self.strangers: Mapping[str, str] = {
            backend: basis(candidate)
            for backend, candidate in zip(cards, candidates, strict=True)
            if not model.knows(candidate)
        }

    def __call__(self, text: str, domain: str = "") -> Mapping[str, float]:
        """Predict for every backend; what feedback taught of the domain is added."""
        predicted = self._predictor.predict(text)
        if not predicted.is_familiar:
            return {}
        quality: list[float] = predicted.quality.clip(LEAST_QUALITY, MOST_QUALITY).tolist()
        offsets = self._offsets.get(domain)
        if offsets is not None:
            quality = [*map(moved, quality, offsets)]
        return dict(zip(self._backends, quality, strict=True))


def quality_for(policy: Policy, load: Callable[[], QualityModel]) -> BackendQuality | None:
    """Return what predicts for the policy's backends; None, and nothing is loaded, where no rule weighs quality."""
    return BackendQuality(load(), policy.cards) if weighs_quality(policy) else None


def weighs_quality(policy: Policy) -> bool:
    """Tell whether any rule compares predicted quality; where none does, nothing is predicted."""
    uses = (rule.use for model in policy.virtual_models.values() for rule in model.select)
    return any(isinstance(use, QualityAtCost | BudgetPacing | Experts) for use in uses)


def candidate_of(card: ModelCard, model: QualityModel) -> Candidate:
    """Return whom a backend is predicted as: its configured name where a record knows that, else the name upstream."""
    named = Candidate(card.id, card.parameters or parameters_in(card.id))
    if not card.upstream or model.knows(named):
        return named
    return Candidate(card.upstream, card.parameters or parameters_in(card.upstream) or named.parameters)


def parameters_in(name: str) -> int:
    """Return the parameters that a model's name tells ("llama-3.1-8b", "SmolLM2-135M"), 0 if it tells none."""
    found = _MILLIONS.search(name)
    return size_in(name) or (int(found[1]) * MILLION if found is not None else 0)


def _offsets(model: QualityModel, cards: Mapping[str, ModelCard]) -> dict[str, list[float]]:
    """Return domain -> what to add to every backend's logit, for domains of which feedback taught any."""
    taught = [model.offsets.get(plain(card.id), {}) for card in cards.values()]
    domains = {domain for by_domain in taught for domain in by_domain}
    return {domain: [by_domain.get(domain, 0.0) for by_domain in taught] for domain in domains}


def basis(candidate: Candidate) -> str:
    """Say what a model that no record knows is judged by."""
    if candidate.parameters > 0:
        size = candidate.parameters
        told = f"{size / BILLION:.3g} B" if size >= BILLION else f"{size / MILLION:.3g} M"
        return f"{candidate.name} is in no record: predicted from its size, {told}"
    return f"{candidate.name} is in no record and its parameters are not known: predicted as an average model"
