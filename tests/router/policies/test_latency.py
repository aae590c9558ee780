import pytest

from headrace.contracts.policy import Affinity, Latency, LowConfidence, Policy, Probe, Rule
from headrace.contracts.routing import Load, Plan, PreviousTurn
from headrace.router.policies.latency import predicted_s
from headrace.router.policies.planner import make_plan
from tests.support.routing import TIERS, auto, call, features, policy

SLOW, FAST = Load(0.0, 3.0, 0.0, 0.1, 100.0), Load(0.0, 0.2, 0.0, 0.01, 100.0)


def using(strategy: Latency, **fields: object) -> Policy:
    fields.setdefault("on_low_confidence", None)
    return policy(auto(select=(Rule("only", None, strategy),), **fields), tiers=TIERS)


def plan(
    rules: Policy,
    loads: dict[str, Load],
    *,
    stream: bool = True,
    previous: PreviousTurn | None = None,
    down: str = "",
    max_tokens: int | None = None,
    **signals: object,
) -> Plan:
    return make_plan(
        rules,
        call(stream=stream, max_tokens=max_tokens),
        features(**signals),
        is_live=lambda backend: backend != f"{down}-backend",
        is_calibrated=lambda _model, _domain: True,
        previous=previous,
        load=lambda tier, backend: loads.get(tier) if backend == f"{tier}-backend" else None,
    )


def first(rules: Policy, loads: dict[str, Load], **more: object) -> str:
    return plan(rules, loads, **more).targets[0].tier


def test_the_strongest_tier_that_is_in_time_answers() -> None:
    rules = using(Latency("large", 2.0))
    assert first(rules, {"small": FAST, "middle": FAST, "large": FAST}) == "large"
    assert first(rules, {"small": FAST, "middle": FAST, "large": SLOW}) == "middle"
    made = plan(rules, {"small": FAST, "middle": SLOW, "large": SLOW})
    assert (made.targets[0].tier, made.propensity) == ("small", 1.0)
    assert made.scores == {"small": 0.2, "middle": 3.0, "large": 3.0}


def test_only_tiers_from_the_named_one_downwards_are_chosen() -> None:
    assert first(using(Latency("middle", 2.0)), dict.fromkeys(TIERS, FAST)) == "middle"


def test_a_tier_that_was_never_measured_is_allowed_and_said_to_be_so() -> None:
    made = plan(using(Latency("large", 2.0)), {"small": FAST})
    assert made.targets[0].tier == "large"
    assert "not measured yet: middle, large" in made.reason
    assert made.scores == {"small": 0.2}


def test_the_fastest_answers_where_none_is_in_time() -> None:
    loads = {"small": Load(0.0, 4.0), "middle": SLOW, "large": Load(0.0, 9.0)}
    made = plan(using(Latency("large", 2.0)), loads)
    assert made.targets[0].tier == "middle"
    assert "none is in time and this is the fastest" in made.reason


def test_the_line_before_a_tier_counts() -> None:
    loads = {"small": FAST, "middle": FAST, "large": Load(5.0, 0.2)}
    assert first(using(Latency("large", 2.0)), loads) == "middle"


def test_a_longer_prompt_takes_longer() -> None:
    loads = {"small": FAST, "middle": FAST, "large": Load(0.0, 0.1, 0.001)}
    assert first(using(Latency("large", 2.0)), loads, prompt_tokens=1_000) == "large"
    assert first(using(Latency("large", 2.0)), loads, prompt_tokens=3_000) == "middle"


def test_the_warm_tier_reads_only_what_is_new() -> None:
    loads = {"small": FAST, "middle": FAST, "large": Load(0.0, 0.1, 0.001)}
    rules = using(Latency("large", 2.0), affinity=Affinity("conversation", 0.0))
    turn = PreviousTurn("large", 0.9, 2_500)
    assert first(rules, loads, prompt_tokens=3_000, turns=2, previous=turn) == "large"


def test_an_answer_that_is_not_streamed_must_be_whole_in_time() -> None:
    loads = {"small": FAST, "middle": FAST, "large": Load(0.0, 0.2, 0.0, 0.1, 100.0)}
    rules = using(Latency("large", 2.0))
    assert first(rules, loads) == "large"
    assert first(rules, loads, stream=False) == "middle"
    assert first(rules, loads, stream=False, max_tokens=10) == "large"
    assert first(using(Latency("large", 2.0, "total")), loads) == "middle"


def test_a_draft_is_late_by_the_probe_it_is_held_back_for() -> None:
    low = LowConfidence(Probe(tokens=32, s=1.5), 0.05, ("large",))
    made = plan(using(Latency("large", 2.0), on_low_confidence=low), dict.fromkeys(TIERS, FAST))
    assert made.scores == pytest.approx({"small": 0.2 + 0.32, "middle": 0.2 + 0.32, "large": 0.2})


def test_a_named_tier_that_is_down_is_stood_in_for_by_a_weaker_one_then_by_a_stronger() -> None:
    loads = dict.fromkeys(TIERS, FAST)
    assert first(using(Latency("middle", 2.0)), loads, down="middle") == "small"
    assert first(using(Latency("small", 2.0)), loads, down="small") == "middle"


def test_no_conversation_stays_on_a_tier_that_is_late() -> None:
    rules = using(Latency("large", 2.0), affinity=Affinity("conversation", 1.0))
    turn = PreviousTurn("large", 0.1)
    assert first(rules, {"large": SLOW, "middle": FAST}, previous=turn, turns=2) == "middle"
    assert first(using(Latency("middle", 2.0), affinity=Affinity("conversation", 1.0)), {}, previous=turn, turns=2) == (
        "large"
    )


def test_what_is_not_measured_cannot_be_predicted() -> None:
    assert predicted_s(Load(), 10, None) is None
    assert predicted_s(Load(first_s=1.0), 10, 256) is None
    assert predicted_s(Load(token_s=0.1, answer_tokens=20), 10, 256) == pytest.approx(2.0)
    assert predicted_s(Load(1.0, 0.5, 0.01, 0.1, 20), 10, 5) == pytest.approx(1.0 + 0.5 + 0.1 + 0.5)
