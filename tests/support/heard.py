"""Simulated traffic with feedback, for tests of learning from it: a world whose truth is known."""

import json
from dataclasses import dataclass, field

import numpy as np

from headrace.contracts.feedback import Feedback
from headrace.contracts.policy import Epsilon, Policy, Rule
from headrace.contracts.routing import Attempt
from headrace.gateway.ledger.feedback import encode_feedback
from headrace.router.policies.planner import make_plan
from headrace.router.replay.log import Line, Log, read_ledger
from tests.support.replaying import line
from tests.support.routing import auto, call, features, hard, policy

ARTEFACT = "a" * 64
SMALL = "small-model"
DOMAINS = ("chat", "code", "maths")


@dataclass(frozen=True)
class World:
    """Requests of three domains; bias: domain -> what the true difficulty has over the predicted one, on the logit.

    share: of the requests somebody says something of.
    """

    bias: dict[str, float] = field(default_factory=dict)
    requests: int = 3000
    share: float = 0.5
    epsilon: float = 0.2

    def policy(self) -> Policy:
        """Hard questions to large, the rest to small, both explored; nothing is judged."""
        large, small = (Epsilon(tier, self.epsilon) for tier in ("large", "small"))
        return policy(
            auto(select=(Rule("hard", hard(0.5), large), Rule("default", None, small)), on_low_confidence=None)
        )

    def lines(self, seed: int = 1) -> list[bytes]:
        """Return the ledger's lines."""
        random = np.random.default_rng(seed)
        made: list[bytes] = []
        for number in range(self.requests):
            domain = DOMAINS[int(random.integers(len(DOMAINS)))]
            difficulty = min(max(float(random.beta(1.5, 2.0)), 0.02), 0.98)
            plan = make_plan(
                self.policy(),
                call(),
                features(difficulty=round(difficulty, 5), domain=domain, quality=_quality(difficulty)),
                is_live=lambda _: True,
                is_calibrated=lambda _model, _domain: True,
                draw=float(random.random()),
            )
            decision, target = f"dec_{number:032x}", plan.targets[0]
            attempt = Attempt(target.tier, target.backend, target.card.id, "committed", 10, 20, 5, 0.0, 1.0)
            record = json.loads(line(plan, (attempt,), decision))
            made.append(
                json.dumps({**record, "artefacts": {"difficulty": ARTEFACT, "quality": ARTEFACT}}).encode() + b"\n"
            )
            if random.random() < self.share:
                made.append(said(decision, self._score(target.tier, difficulty, domain, random)))
        return made

    def log(self, seed: int = 1) -> Log:
        """Return the ledger as it is read."""
        return read_ledger(Line("ledger.jsonl", number, text) for number, text in enumerate(self.lines(seed), 1))

    def _score(self, tier: str, difficulty: float, domain: str, random: np.random.Generator) -> float:
        logit = np.log(difficulty / (1 - difficulty)) + self.bias.get(domain, 0.0)
        wrong = 1 / (1 + np.exp(-logit)) if tier == "small" else 0.05
        return float(random.random() >= wrong)


def _quality(difficulty: float) -> dict[str, float]:
    return {"small-backend": 1 - difficulty, "large-backend": 0.95}


def said(decision: str, score: float) -> bytes:
    """Return the line of one feedback."""
    return encode_feedback(Feedback(1, decision, "2026-11-22T00:00:00Z", "k", "t", score))
