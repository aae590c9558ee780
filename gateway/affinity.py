"""Which conversation a request belongs to, and where that conversation stands. In memory, bounded, apart per tenant."""

import hashlib
from collections import OrderedDict
from typing import Final

from headrace.contracts.chat import ChatCall
from headrace.contracts.policy import Policy
from headrace.contracts.principal import Principal
from headrace.contracts.routing import PreviousTurn

MAX_CONVERSATIONS: Final = 20_000
_HEAD_CHARACTERS: Final = 4_096


def affinity_key(policy: Policy, call: ChatCall, principal: Principal) -> str:
    """Return a stable word for what must stay together: the conversation, or the end user where the policy says so.

    A conversation is known by its opening, up to the first user turn, which every later turn repeats.
    """
    digest = hashlib.blake2b(f"{principal.tenant}\0{call.model}".encode("utf-8", "surrogatepass"), digest_size=16)
    model = policy.virtual_models.get(policy.aliases.get(call.model, call.model))
    if model is not None and model.affinity.key == "user":
        digest.update(f"\0user\0{call.user or principal.key_id}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()
    for message in call.messages:
        digest.update(f"\0{message.role}\0{message.text[:_HEAD_CHARACTERS]}".encode("utf-8", "surrogatepass"))
        if message.role == "user":
            break
    return digest.hexdigest()


class Conversations:
    """Remembers the last turn of each conversation; the least recently used are forgotten first."""

    def __init__(self, limit: int = MAX_CONVERSATIONS) -> None:
        self._limit = limit
        self._turns: OrderedDict[str, PreviousTurn] = OrderedDict()

    def previous(self, key: str) -> PreviousTurn | None:
        """Return the last turn, None for a conversation that is new or forgotten."""
        return self._turns.get(key)

    def remember(self, key: str, turn: PreviousTurn) -> None:
        """Note where the conversation stands now."""
        self._turns[key] = turn
        self._turns.move_to_end(key)
        if len(self._turns) > self._limit:
            self._turns.popitem(last=False)
