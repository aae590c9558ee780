from headrace.contracts.chat import ChatCall, Message
from headrace.contracts.policy import Affinity, Policy, Rule, VirtualModel
from headrace.contracts.principal import ANONYMOUS, Principal
from headrace.contracts.routing import PreviousTurn
from headrace.gateway.affinity import Conversations, affinity_key

USER = VirtualModel("by-user", (Rule("d", None, "t"),), affinity=Affinity("user"))
POLICY = Policy("r", (), {"by-user": USER}, {}, {"alias": "by-user"})


def call(*texts: str, model: str = "m", user: str | None = None) -> ChatCall:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[n % 2], text) for n, text in enumerate(texts))
    return ChatCall(model, "chat", messages, {}, user=user)


def test_later_turns_belong_to_the_conversation_that_opened_alike() -> None:
    assert affinity_key(POLICY, call("a"), ANONYMOUS) == affinity_key(POLICY, call("a", "b", "c"), ANONYMOUS)
    assert affinity_key(POLICY, call("a"), ANONYMOUS) != affinity_key(POLICY, call("b"), ANONYMOUS)


def test_tenants_never_share_a_conversation() -> None:
    assert affinity_key(POLICY, call("a"), ANONYMOUS) != affinity_key(POLICY, call("a"), Principal("k", "other"))


def test_a_policy_may_keep_a_user_together_also_through_an_alias() -> None:
    keys = {affinity_key(POLICY, call(text, model="alias", user="u1"), ANONYMOUS) for text in ("a", "b")}
    assert len(keys) == 1
    assert affinity_key(POLICY, call("a", model="alias", user="u2"), ANONYMOUS) not in keys


def test_the_least_recent_conversation_is_forgotten_first() -> None:
    store = Conversations(limit=2)
    for key in ("a", "b", "a", "c"):
        store.remember(key, PreviousTurn("small", 0.1))
    assert store.previous("b") is None
    assert store.previous("a") == PreviousTurn("small", 0.1)
