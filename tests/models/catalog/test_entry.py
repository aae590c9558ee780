import pytest

from headrace.models.catalog.entry import CatalogEntry


def test_a_reference_is_not_served_and_has_no_card() -> None:
    entry = CatalogEntry("tiny", "reference", "f", 1, "Apache-2.0", 8, frozenset())
    assert not entry.is_served
    with pytest.raises(ValueError, match="not served"):
        _ = entry.card
