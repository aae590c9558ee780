"""Who is asking."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind one request. Safe to share between tasks.

    key_id: public name of the key ("anonymous" when keys are off). tenant: owner of everything stored.
    scopes: what the key may do; "*" is everything.
    """

    key_id: str
    tenant: str
    scopes: frozenset[str] = frozenset({"*"})

    def allows(self, scope: str) -> bool:
        """Tell whether this principal holds `scope`."""
        return "*" in self.scopes or scope in self.scopes


ANONYMOUS = Principal(key_id="anonymous", tenant="default")
