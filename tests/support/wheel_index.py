"""A package index in a folder, with tiny wheels that carry bytes, so that pip download runs for real and offline."""

import base64
import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.models.catalog.catalogue import Catalogue
from headrace.models.catalog.entry import Part

MakeCatalogue = Callable[..., Catalogue]


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
