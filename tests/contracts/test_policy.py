import pytest

from headrace.contracts.policy import Tier
from tests.support.routing import policy


def test_a_tier_is_found_by_its_id() -> None:
    assert policy().tier("large").default == "large-backend"


def test_an_unknown_tier_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="huge"):
        policy().tier("huge")


def test_a_tiers_backends_come_default_first_and_once_each() -> None:
    tier = Tier("large", "a", specialists={"code": "b", "maths": "a", "chat": "b"})
    assert tier.backend_ids() == ("a", "b")
