"""Simulated traffic for tests of replay: real plans, attempts and ledger lines of a world whose truth is known."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from headrace.contracts.policy import Epsilon, Policy, Rule
from headrace.contracts.principal import Principal
from headrace.contracts.routing import Attempt, Plan, Target
from headrace.gateway.ledger.record import Outcome, Request, build, encode
from headrace.router.policies.planner import make_plan
from headrace.router.replay.log import Entry, Line, Log, read_ledger
from tests.support.routing import auto, call, features, hard, policy

BAR: Final = 0.6


@dataclass(frozen=True)
class Traffic:
    lines: tuple[bytes, ...]
    scores: dict[str, float]

    @property
    def log(self) -> Log:
        return read_ledger(Line("ledger.jsonl", number, text) for number, text in enumerate(self.lines, 1))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.log.entries


def lined(bar: float = BAR, epsilon: float = 0.0, rule: str = "hard") -> Policy:
    """Return a policy without judging: over the bar to large, else small, explored with probability epsilon."""
    large, small = (Epsilon(tier, epsilon) if epsilon else tier for tier in ("large", "small"))
    return policy(auto(select=(Rule(rule, hard(bar), large), Rule("default", None, small)), on_low_confidence=None))


def traffic(chosen: Policy, n: int, *, seed: int = 1) -> Traffic:
    """Return n served requests: the small tier is short, quick and wrong on what is hard."""
    random = np.random.default_rng(seed)
    lines: list[bytes] = []
    scores: dict[str, float] = {}
    for number in range(n):
        seen = features(difficulty=float(random.beta(1.5, 2.5)), prompt_tokens=int(random.integers(20, 400)))
        plan = make_plan(
            chosen,
            call(),
            seen,
            is_live=lambda _: True,
            is_calibrated=lambda _model, _domain: True,
            draw=float(random.random()),
        )
        attempts, is_right = _served(plan, random)
        decision = f"dec_{number:032x}"
        scores[decision] = float(is_right)
        lines.append(line(plan, attempts, decision))
    return Traffic(tuple(lines), scores)


def line(plan: Plan, attempts: tuple[Attempt, ...], decision: str) -> bytes:
    """Return the ledger's line of a served request."""
    request = Request(
        decision_id=decision,
        request_id="req_" + "1" * 32,
        principal=Principal("alice", "research"),
        endpoint="chat",
        stream=False,
        model="headrace/auto",
        started=1_790_000_000.0,
        revision=plan.revision,
        artefacts={},
    )
    last = attempts[-1]
    return encode(build(request, plan, attempts, Outcome(200, "ok", 1, last.completion_tokens, last.ended_s)))


def attempt(target: Target, start: float, tokens: int, prompt: int, *, is_kept: bool = True) -> Attempt:
    """Return a finished attempt of 0.01 s a token on the small tier, 0.03 s elsewhere."""
    return Attempt(
        tier=target.tier,
        backend=target.backend,
        model=target.card.id,
        outcome="committed" if is_kept else "rejected",
        prompt_tokens=prompt,
        completion_tokens=tokens,
        cost_microusd=target.card.price.cost_microusd(prompt, tokens),
        started_s=start,
        ended_s=start + tokens * (0.01 if target.tier == "small" else 0.03),
    )


def _served(plan: Plan, random: np.random.Generator) -> tuple[tuple[Attempt, ...], bool]:
    """Try the targets; a judged draft is rejected when it is wrong."""
    attempts: list[Attempt] = []
    start, prompt, difficulty = 0.0, plan.features.prompt_tokens, plan.features.difficulty
    is_right = False
    for target in plan.targets:
        chance = 0.9 - 0.8 * difficulty if target.tier == "small" else 0.95 - 0.25 * difficulty
        is_right = bool(random.random() < chance)
        tokens = int(random.integers(20, 60)) if target.tier == "small" else int(random.integers(60, 140))
        is_kept = is_right or not target.judged
        attempts.append(attempt(target, start, tokens, prompt, is_kept=is_kept))
        start = attempts[-1].ended_s
        if is_kept:
            break
    return tuple(attempts), is_right
