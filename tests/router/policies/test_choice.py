from headrace.contracts.policy import Affinity, Rule
from headrace.contracts.routing import PreviousTurn
from headrace.router.policies.choice import COLD, Warm, listed, place_of, warm_prefix
from headrace.router.policies.survey import Ask
from tests.support.routing import auto, call, features, policy


def ask(previous: PreviousTurn | None, *, turns: int = 2, prompt_tokens: int = 100) -> Ask:
    seen = features(turns=turns, prompt_tokens=prompt_tokens)
    return Ask(policy(), call(), seen, lambda _: True, lambda _model, _domain: True, previous)


def test_only_a_conversation_that_goes_on_is_warm() -> None:
    conversation, user = (auto(affinity=Affinity(key, 0.1)) for key in ("conversation", "user"))
    turn = PreviousTurn("small", 0.1, 80)
    assert warm_prefix(ask(turn), conversation) == Warm("small", 80)
    assert warm_prefix(ask(turn), user) == COLD
    assert warm_prefix(ask(turn, turns=1), conversation) == COLD
    assert warm_prefix(ask(None), conversation) == COLD


def test_no_more_is_warm_than_the_prompt_has() -> None:
    turn = PreviousTurn("small", 0.1, 800)
    assert warm_prefix(ask(turn), auto(affinity=Affinity("conversation"))).tokens == 100


def test_another_tier_misses_what_the_warm_one_holds() -> None:
    warm = Warm("small", 80)
    assert (warm.missing("small"), warm.missing("large")) == (0, 80)
    assert "leaving 'small' abandons 80 warm tokens" in warm.said()
    assert (COLD.missing("large"), COLD.said()) == (0, "")


def test_a_budget_is_kept_by_virtual_model_and_rule() -> None:
    assert place_of(auto(), Rule("hard", None, "large")) == ("headrace/auto", "hard")
    assert listed({"small": 0.5, "large": 1.0}) == "small 0.5, large 1"
