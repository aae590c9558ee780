"""`POST /v1/headrace/explain`: the body of a chat request, answered with its plan and why. No model is called."""

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from headrace.contracts.chat import JsonObject
from headrace.contracts.routing import Plan, Target
from headrace.gateway.affinity import affinity_key
from headrace.gateway.codecs import chat
from headrace.gateway.exchange import Exchange
from headrace.gateway.pipeline import Pipeline
from headrace.gateway.tools.kinds import ToolKinds
from headrace.router.explaining.difficulty import DifficultyWeights
from headrace.router.explaining.explanation import Explanation, explained, held
from headrace.router.policies.planner import decide
from headrace.router.quality.backends import BackendQuality


@dataclass(frozen=True, slots=True)
class ExplainRoute:
    """Shows what the pipeline would do, and why. Taking a decision apart needs a thread, one at a time.

    weights: of the difficulty model that the pipeline judges with, None where it has none to show.
    """

    pipeline: Pipeline
    kinds: ToolKinds
    weights: DifficultyWeights | None = None
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def serve(self, exchange: Exchange) -> None:
        """Serve one request."""
        revision = self.pipeline.revisions.current
        server = revision.settings.server
        body = await exchange.body(server.max_body_bytes)
        call = chat.read_call(body, kinds=self.kinds, max_depth=server.max_json_depth)
        key = affinity_key(revision.policy, call, exchange.principal)
        grounding = await self.pipeline.grounder.ground(exchange, revision.policy, call)
        ask = held(self.pipeline.ask(revision, call, exchange.principal, exchange.headers(), key, grounding=grounding))
        plan = decide(ask)
        quality = revision.quality.model if isinstance(revision.quality, BackendQuality) else None
        async with self.turn:
            told = await asyncio.to_thread(explained, ask, plan, weights=self.weights, quality=quality)
        shown = as_object(plan, told)
        shown["retrieval"] = None if grounding is None else msgspec.to_builtins(grounding.record())
        await exchange.respond(200, msgspec.json.encode(shown))


def as_object(plan: Plan, told: Explanation) -> JsonObject:
    """Return a plan as JSON-ready values: features, rule, targets, what was skipped and why, cost, scores.

    And what is told of it: candidates, contributions, what would have changed it, training questions like it.
    """
    features: dict[str, Any] = msgspec.structs.asdict(plan.features)
    del features["headers"]
    return {
        "object": "headrace.plan",
        "virtual_model": plan.virtual_model,
        "revision": plan.revision,
        "features": features,
        "rule": plan.rule,
        "reason": plan.reason,
        "targets": [_target(target) for target in plan.targets],
        "experts": None if plan.panel is None else [_target(member) for member in plan.panel.members],
        "fuse": None if plan.panel is None else plan.panel.fuse,
        "shadow": None if plan.shadow is None else _target(plan.shadow),
        "skipped": dict(plan.skipped),
        "expected_cost_usd": plan.expected_cost_microusd / 1_000_000,
        "propensity": plan.propensity,
        "scores": dict(plan.scores),
        "pace": None if plan.pace is None else msgspec.structs.asdict(plan.pace),
        "limits": asdict(plan.limits),
        "candidates": msgspec.to_builtins(told.candidates),
        "contributions": {"score": told.score, "parts": msgspec.to_builtins(told.parts)} if told.parts else None,
        "gain": msgspec.to_builtins(told.gain),
        "counterfactuals": msgspec.to_builtins(told.changes),
        "nearest": msgspec.to_builtins(told.nearest),
    }


def _target(target: Target) -> JsonObject:
    return {
        "tier": target.tier,
        "backend": target.backend,
        "model": target.card.id,
        "judged": target.judged,
        "why_not_judged": target.why_not_judged,
    }
