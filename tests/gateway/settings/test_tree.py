from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from headrace.gateway.settings.tree import Keys
from tests.support.config import load_text


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_text(tmp_path)
    with pytest.raises(FrozenInstanceError):
        settings.server.port = 1  # type: ignore[misc]


def test_keys_are_on_as_soon_as_one_is_issued() -> None:
    assert not Keys().are_on
    assert Keys(plain=("k" * 20,)).are_on
    assert "k" * 20 not in repr(Keys(plain=("k" * 20,)))
