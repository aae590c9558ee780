"""Files of a Hugging Face repository, at a commit. The hub gives way after one failed connect attempt a process."""

import http.client
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from headrace.contracts.errors import StoreError
from headrace.models.catalog.entry import CatalogFile, HfSource
from headrace.models.store.files import copy_stream, whole_file

_CONNECT_S: Final = 5.0
_ENDPOINT: Final = "https://huggingface.co"


class Hub:
    """One process's view of the hub. Safe to share between threads: the first to fail spares the others the wait."""

    def __init__(self, endpoint: str = _ENDPOINT, *, connect_s: float = _CONNECT_S) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._connect_s = connect_s
        self._lock = threading.Lock()
        self._is_reachable: bool | None = None

    def is_reachable(self) -> bool:
        """Tell whether the hub answers; asked once, for `connect_s` seconds at most."""
        with self._lock:
            if self._is_reachable is None:
                self._is_reachable = self._answers()
            return self._is_reachable

    def download(self, source: HfSource, file: CatalogFile, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Stream a file into `target`; StoreError when it cannot be had or is not the pinned one."""
        path = urllib.parse.quote(f"{source.repository}/resolve/{source.revision}/{source.file}")
        origin = f"{source.repository}@{source.revision[:8]}/{source.file}"
        try:
            with (
                urllib.request.urlopen(  # noqa: S310  (the endpoint is https, or a test's loopback)
                    f"{self._endpoint}/{path}", timeout=60
                ) as answer,
                whole_file(target) as handle,
            ):
                found = copy_stream(answer, handle, cap=file.size_bytes, on_bytes=on_bytes)
                if found != file.sha256:
                    raise StoreError(f"{origin}: sha256 is {found[:12]}…, {file.sha256[:12]}… is pinned; thrown away")
        except (OSError, http.client.HTTPException) as exc:
            raise StoreError(f"{origin}: cannot be downloaded ({exc})") from exc

    def _answers(self) -> bool:
        request = urllib.request.Request(f"{self._endpoint}/robots.txt", method="HEAD")  # noqa: S310  (see above)
        try:
            with urllib.request.urlopen(request, timeout=self._connect_s):  # noqa: S310  (see above)
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, http.client.HTTPException):
            return False
