from headrace.contracts.principal import ANONYMOUS, Principal


def test_the_star_allows_everything() -> None:
    assert ANONYMOUS.allows("chat")


def test_a_key_may_do_only_what_its_scopes_say() -> None:
    reader = Principal("k1", "acme", frozenset({"models"}))
    assert reader.allows("models")
    assert not reader.allows("chat")
