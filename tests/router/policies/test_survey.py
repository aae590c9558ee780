import pytest

from headrace.contracts.errors import InvalidRequest, Overloaded
from headrace.contracts.policy import Limits
from headrace.router.policies.survey import Ask, Options, survey
from tests.support.routing import CHAT, call, card, features, policy

POLICY = policy()
NO_TOOLS = card("small-model", capabilities=CHAT - {"logprobs"})


def look(
    rules: object = POLICY, *, down: frozenset[str] = frozenset(), limits: Limits | None = None, **asked: object
) -> Options:
    ask = Ask(
        rules,  # type: ignore[arg-type]
        call(**asked),  # type: ignore[arg-type]
        features(domain="code"),
        lambda backend: backend not in down,
        lambda _model, _domain: True,
    )
    return survey(ask, rules.tiers, limits or Limits())  # type: ignore[attr-defined]


def test_tiers_that_can_are_kept_in_order_and_the_rest_say_why() -> None:
    options = look(policy(cards={"small-backend": NO_TOOLS}), logprobs=True)
    assert list(options.able) == ["large"]
    assert options.skipped == {"small": "small-model does not support log-probabilities"}


def test_a_specialist_answers_its_domain() -> None:
    special = policy(cards={"coder": card("coder-model")}, large={"specialists": {"code": "coder"}})
    assert look(special).able["large"].backend == "coder"


def test_the_default_stands_in_for_a_specialist_that_is_down() -> None:
    special = policy(cards={"coder": card("coder-model")}, large={"specialists": {"code": "coder"}})
    assert look(special, down=frozenset({"coder"})).able["large"].backend == "large-backend"


def test_what_no_tier_can_do_blames_the_field() -> None:
    poor = {f"{tier}-backend": card(tier, capabilities=CHAT - {"logprobs"}) for tier in ("small", "large")}
    with pytest.raises(InvalidRequest) as caught:
        look(policy(cards=poor), logprobs=True)
    assert caught.value.param == "logprobs"


def test_a_tier_over_the_cost_bound_is_left_out() -> None:
    options = look(limits=Limits(max_cost_microusd=1000))
    assert list(options.able) == ["small"]
    assert "over the limit of 1000" in options.skipped["large"]


def test_when_all_that_could_are_down_the_client_may_try_again() -> None:
    with pytest.raises(Overloaded) as caught:
        look(down=frozenset({"small-backend", "large-backend"}))
    assert caught.value.retry_after_s
    assert "'small-backend' is down" in caught.value.message
