"""Which tiers could answer a request at all: capabilities, context length, cost bound, then liveness."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from headrace.contracts.chat import ChatCall
from headrace.contracts.errors import InvalidRequest, Overloaded
from headrace.contracts.models import ModelCard
from headrace.contracts.policy import Limits, Policy, Tier
from headrace.contracts.routing import Features, Load, Pace, PreviousTurn, Target
from headrace.router.policies.capability import Lack, Need, lack, needs
from headrace.router.policies.cost import attempt_cost

RETRY_AFTER_S: Final = 5.0

IsLive = Callable[[str], bool]
IsCalibrated = Callable[[str, str], bool]
LoadOf = Callable[[str, str], Load | None]
PaceOf = Callable[[str, str], Pace | None]


def unknown(_: str, __: str) -> None:
    """Know nothing: of a load before anything is measured, of a budget before anything is spent."""


class Ask(msgspec.Struct, frozen=True):
    """One request to plan: the policy it is pinned to, the call, its features, and what is known around it.

    is_live(backend id); is_calibrated(model id, domain); previous: the conversation's last turn; draw: a random number
    in [0, 1), None where nothing is drawn; affinity: the key of the conversation or user, empty if unknown. load(tier
    id, backend id) and pace(virtual model, rule id): None where nothing is known.
    """

    policy: Policy
    call: ChatCall
    features: Features
    is_live: IsLive
    is_calibrated: IsCalibrated
    previous: PreviousTurn | None = None
    draw: float | None = None
    affinity: str = ""
    load: LoadOf = unknown
    pace: PaceOf = unknown


class Options(msgspec.Struct, frozen=True):
    """What could answer: tier id -> target, weakest first; and why each other tier cannot."""

    able: Mapping[str, Target]
    skipped: Mapping[str, str]


def survey(ask: Ask, tiers: Sequence[Tier], limits: Limits) -> Options:
    """Sort tiers into able and skipped. InvalidRequest when none can do it, Overloaded when those that can are down."""
    wanted = needs(ask.call)
    able: dict[str, Target] = {}
    skipped: dict[str, str] = {}
    lacks: list[Lack] = []
    for tier in tiers:
        found = _pick(ask, tier, wanted, limits)
        if isinstance(found, Target):
            able.setdefault(tier.id, found)
        elif isinstance(found, Lack):
            skipped[tier.id] = found.why
            lacks.append(found)
        else:
            skipped[tier.id] = found
    if able:
        return Options(able, {tier: why for tier, why in skipped.items() if tier not in able} if skipped else {})
    listed = "; ".join(f"{tier}: {why}" if tier else why for tier, why in skipped.items())
    if len(lacks) < len(tiers):
        message = f"no tier that can serve this request is up ({listed}); try again later"
        raise Overloaded(message, retry_after_s=RETRY_AFTER_S)
    worst = lacks[-1]  # of the strongest tier: what even that one cannot do
    raise InvalidRequest(f"no tier can serve this request: {listed}", param=worst.field, code=worst.code)


def nearest_able(wanted: str, policy: Policy, options: Options) -> str:
    """Return the wanted tier if it is able, else the nearest stronger one that is, else the nearest weaker one."""
    if wanted in options.able:
        return wanted
    order = [tier.id for tier in policy.tiers]
    at = order.index(wanted)
    return next(tier for tier in (*order[at + 1 :], *reversed(order[:at])) if tier in options.able)


def _pick(ask: Ask, tier: Tier, wanted: tuple[Need, ...], limits: Limits) -> Target | Lack | str:
    """Return the tier's backend for this request: the domain's specialist, else the default; or why there is none."""
    found: Target | Lack | str = ""
    specialist = tier.specialists.get(ask.features.domain, tier.default)
    for backend in (tier.default,) if specialist == tier.default else (specialist, tier.default):
        fitting = fit(ask, tier.id, backend, wanted, limits)
        if isinstance(fitting, Target):
            return fitting
        if isinstance(fitting, str) or not found:
            found = fitting
    return found


def fit(ask: Ask, tier: str, backend: str, wanted: tuple[Need, ...], limits: Limits) -> Target | Lack | str:
    """Return the backend as a target on the tier if it can serve the request, else what it lacks or that it is down."""
    card = ask.policy.cards[backend]
    lacking = lack(card, ask.call, wanted, ask.features.prompt_tokens) or _too_dear(ask, card, limits)
    if lacking is not None:
        return lacking
    if not ask.is_live(backend):
        return f"backend {backend!r} is down"
    return Target(tier=tier, backend=backend, card=card, judged=False)


def _too_dear(ask: Ask, card: ModelCard, limits: Limits) -> Lack | None:
    if limits.max_cost_microusd is None:
        return None
    cost = attempt_cost(card, ask.call, ask.features.prompt_tokens)
    if cost <= limits.max_cost_microusd:
        return None
    why = f"{card.id} would cost about {cost} micro-USD, over the limit of {limits.max_cost_microusd}"
    return Lack("max_completion_tokens", why)
