import pytest

from headrace.contracts.errors import NotFound
from headrace.contracts.policy import Tier, VirtualModel
from headrace.router.policies.names import is_known, known_names, resolve
from tests.support.routing import card, policy

POLICY = policy(aliases={"gpt-4o-mini": "headrace/auto", "loop": "gpt-4o-mini"})


def test_a_virtual_model_a_tier_and_a_catalogue_id_are_told_apart() -> None:
    assert isinstance(resolve(POLICY, "headrace/auto"), VirtualModel)
    assert isinstance(resolve(POLICY, "headrace/large"), Tier)
    assert resolve(POLICY, "small-model") == ("small-backend",)
    assert resolve(POLICY, "small-backend") == ("small-backend",)


def test_a_catalogue_id_may_be_served_by_several_backends() -> None:
    shared = policy(cards={"second": card("small-model")})
    assert resolve(shared, "small-model") == ("small-backend", "second")


def test_an_alias_is_followed_once() -> None:
    assert resolve(POLICY, "gpt-4o-mini") == resolve(POLICY, "headrace/auto")
    with pytest.raises(NotFound):
        resolve(POLICY, "loop")


def test_an_unknown_name_is_openais_404() -> None:
    with pytest.raises(NotFound) as caught:
        resolve(POLICY, "gpt-9")
    assert caught.value.message == "The model `gpt-9` does not exist or you do not have access to it."
    assert (caught.value.code, caught.value.param, caught.value.status) == ("model_not_found", "model", 404)


def test_every_known_name_resolves() -> None:
    assert "headrace/small" in known_names(POLICY)
    for name in known_names(POLICY):
        assert is_known(POLICY, name)
    assert not is_known(POLICY, "gpt-4o-mini")
