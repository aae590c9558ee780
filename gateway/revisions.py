"""The config revision that requests are pinned to: one immutable object, swapped whole.

A request reads `current` once and keeps what it got; the rest of the process owns nothing that a reload would close.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.contracts.policy import Policy
from headrace.contracts.protocols import Backend, Embedder
from headrace.gateway.auth import Authenticator
from headrace.gateway.settings.tree import Settings
from headrace.router.cascade.runner import Cascade


@dataclass(frozen=True, slots=True)
class Revision:
    """Everything a request needs that a reload may change.

    wants_rates: some rule asks how fast backends answer. quality: predicts how good each backend's answer to a text is;
    None where no rule asks.
    """

    settings: Settings
    auth: Authenticator
    backends: Mapping[str, Backend]
    cascade: Cascade
    embedder: Embedder | None = None
    wants_rates: bool = False
    quality: Callable[[str, str], Mapping[str, float]] | None = None

    @property
    def policy(self) -> Policy:
        """The routing policy."""
        return self.settings.policy

    @property
    def embedding_id(self) -> str | None:
        """The catalogue id of the embedding model, if one is served."""
        return None if self.embedder is None else self.embedder.card.id

    def is_live(self, backend: str) -> bool:
        """Tell whether a backend takes requests now."""
        found = self.backends.get(backend)
        return found is not None and found.is_live()

    def liveness(self) -> dict[str, bool]:
        """Return backend id -> whether it takes requests now."""
        return {backend: self.is_live(backend) for backend in self.backends}


class Revisions:
    """Holds the revision that new requests get."""

    def __init__(self, first: Revision) -> None:
        self.current = first

    def swap(self, revision: Revision) -> None:
        """Put a revision in force; requests that run stay with theirs."""
        self.current = revision
