from headrace.contracts.policy import LowConfidence, Policy, Probe, Rule, Tier, VirtualModel, Weighted
from headrace.gateway.readiness import Readiness

LOW = LowConfidence(Probe(), 0.1, ("large",))
POLICY = Policy(
    "r",
    (Tier("small", "s"), Tier("large", "l"), Tier("other", "o")),
    {
        "auto": VirtualModel("auto", (Rule("d", None, "small"),), LOW),
        "direct": VirtualModel("direct", (Rule("d", None, "other"),)),
    },
    {},
)


def test_traffic_may_come_once_every_tier_has_answered() -> None:
    readiness = Readiness()
    readiness.answered("s")
    readiness.answered("o")
    assert readiness.obstacles(POLICY, lambda _: True) == ("tier large has not answered yet",)
    readiness.answered("l")
    assert readiness.obstacles(POLICY, lambda _: True) == ()


def test_afterwards_every_virtual_model_needs_one_live_tier() -> None:
    readiness = Readiness()
    for backend in ("s", "l", "o"):
        readiness.answered(backend)
    assert readiness.obstacles(POLICY, lambda _: True) == ()
    assert readiness.obstacles(POLICY, lambda backend: backend != "s") == ()
    assert readiness.obstacles(POLICY, lambda backend: backend != "o") == ("no tier of direct is live",)


def test_every_tier_that_a_strategy_can_choose_counts() -> None:
    readiness = Readiness()
    split = VirtualModel("split", (Rule("d", None, Weighted({"small": 0.5, "large": 0.5})),))
    policy = Policy("r", (Tier("small", "s"), Tier("large", "l")), {"split": split}, {})
    for backend in ("s", "l"):
        readiness.answered(backend)
    assert readiness.obstacles(policy, lambda backend: backend == "l") == ()
    assert readiness.obstacles(policy, lambda _: False) == ("no tier of split is live",)


def test_draining_comes_first() -> None:
    readiness = Readiness()
    readiness.draining = True
    assert readiness.obstacles(POLICY, lambda _: True) == ("shutting down",)
