"""All that is told of one decision besides its plan. Pure: what it reads was loaded by whoever asks."""

import msgspec

from headrace.contracts.routing import Plan
from headrace.router.explaining.difficulty import DifficultyWeights, Part
from headrace.router.explaining.nearest import NearestIndex, Neighbour
from headrace.router.explaining.quality import Gain, gain_parts
from headrace.router.features import judged_text
from headrace.router.policies.candidates import Candidate, candidates
from headrace.router.policies.counterfactual import Change, changes
from headrace.router.policies.survey import Ask
from headrace.router.quality.backends import candidate_of
from headrace.router.quality.model import QualityModel


class Explanation(msgspec.Struct, frozen=True):
    """parts: of the difficulty's raw score, which they add up to. gain: None where no rule weighs predicted quality.

    changes: what would have made another decision. nearest: training questions like this one, where an index is given.
    """

    candidates: tuple[Candidate, ...]
    parts: tuple[Part, ...] = ()
    gain: Gain | None = None
    changes: tuple[Change, ...] = ()
    nearest: tuple[Neighbour, ...] = ()

    @property
    def score(self) -> float:
        """The difficulty's raw score."""
        return sum(part.value for part in self.parts)


def explained(
    ask: Ask,
    plan: Plan,
    *,
    weights: DifficultyWeights | None = None,
    quality: QualityModel | None = None,
    index: NearestIndex | None = None,
) -> Explanation:
    """Explain the plan that `decide(ask)` made. Takes some tens of milliseconds: call it off the event loop.

    weights: of the difficulty model that judged, None where another one did. quality: None where nothing predicts it.
    """
    text = judged_text(ask.call)
    able = [each for each in candidates(ask, plan) if not each.why_left_out]
    return Explanation(
        candidates=candidates(ask, plan),
        parts=weights.parts(text) if weights is not None else (),
        gain=_gain(ask, quality, able, text) if quality is not None and ask.features.quality else None,
        changes=changes(ask, plan, weights.domains if weights is not None else ()),
        nearest=index.nearest(text) if index is not None else (),
    )


def held(ask: Ask) -> Ask:
    """Return the request with all that is measured held as it is now, so that another thread may plan with it."""
    policy = ask.policy
    live = {backend: ask.is_live(backend) for backend in policy.cards}
    load = {(tier.id, one): ask.load(tier.id, one) for tier in policy.tiers for one in tier.backend_ids()}
    pace = {
        (model.name, rule.id): ask.pace(model.name, rule.id)
        for model in policy.virtual_models.values()
        for rule in model.select
    }
    return msgspec.structs.replace(
        ask,
        is_live=lambda backend: live[backend],
        load=lambda tier, backend: load.get((tier, backend)),
        pace=lambda model, rule: pace.get((model, rule)),
    )


def _gain(ask: Ask, quality: QualityModel, able: list[Candidate], text: str) -> Gain | None:
    """Return the gain of the strongest able tier over the weakest; None where there is but one."""
    if len({each.tier for each in able}) < 2:  # noqa: PLR2004  (a gain is between two)
        return None
    weak, strong = (candidate_of(ask.policy.cards[able[end].backend], quality) for end in (0, -1))
    return gain_parts(quality, weak, strong, text)
